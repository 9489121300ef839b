"""The workflows that come with the package, and how a prompt, a seed and images get into the editing ones.

The node ids are the convention (comfyui/workflows/README.md): `positive` holds the prompt, `sampler` the
seed and the steps, `image1` the first picture and `image1_scaled` the same fitted to the model's size.
What every workflow takes stands in its schema; `parameters` reads it.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from .errors import InputError
from .events import Graph, ImageRef

SUFFIX = ".api.json"
MAX_IMAGES = 3
# What `comfystack edit` runs: one image, and up to two more that are added to the graph.
EDITS = ("edit", "edit-lightning")
_ENCODERS = ("positive", "negative")


def _folder() -> Traversable:
    installed = resources.files(__package__) / "workflows"
    # In a checkout, and so after an editable install, the graphs stand beside the client.
    return installed if installed.is_dir() else Path(__file__).parents[2] / "workflows"


def names() -> list[str]:
    """The workflows that can be loaded by name."""
    return sorted(
        file.name.removesuffix(SUFFIX) for file in _folder().iterdir() if file.name.endswith(SUFFIX)
    )


def read(name: str, suffix: str) -> str:
    """The text of a packaged workflow's file with this suffix."""
    if name not in names():
        raise InputError(
            f"there is no workflow {name!r}", f"one of {', '.join(names())}", "correct the workflow's name"
        )
    return (_folder() / f"{name}{suffix}").read_text(encoding="utf-8")


def load(name: str) -> Graph:
    """A fresh copy of a packaged workflow."""
    graph: Graph = json.loads(read(name, SUFFIX))
    return graph


def add_image(graph: Graph, number: int) -> None:
    """Makes room in an editing graph for image 2 or 3: a copy of image 1's nodes, linked to both encoders."""
    loader, scaled = f"image{number}", f"image{number}_scaled"
    graph[loader] = copy.deepcopy(graph["image1"])
    graph[scaled] = copy.deepcopy(graph["image1_scaled"])
    graph[scaled]["inputs"]["image"] = [loader, 0]
    for encoder in _ENCODERS:
        graph[encoder]["inputs"][loader] = [scaled, 0]


def edit(
    name: str, images: Sequence[ImageRef], prompt: str, seed: int | None = None, steps: int | None = None
) -> Graph:
    """An editing workflow ready to run on one to three uploaded images ("image 1" ... in the prompt)."""
    if not 1 <= len(images) <= MAX_IMAGES:
        raise InputError(
            f"{len(images)} images are given", f"1 to {MAX_IMAGES} images", "name that many image files"
        )
    graph = load(name)
    graph["positive"]["inputs"]["prompt"] = prompt
    sampler = graph["sampler"]["inputs"]
    if seed is not None:
        sampler["seed"] = seed
    if steps is not None:
        sampler["steps"] = steps
    for number, image in enumerate(images, start=1):
        if number > 1:
            add_image(graph, number)
        graph[f"image{number}"]["inputs"]["image"] = image.annotated
    return graph
