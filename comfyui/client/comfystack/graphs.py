"""The workflows that come with the package, and how a prompt, a seed and images get into them.

The node ids are the convention (comfyui/workflows/README.md): `positive` holds the prompt, `sampler` the
seed and the steps, `image1` the first picture and `image1_scaled` the same fitted to the model's size.
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


def load(name: str) -> Graph:
    """A fresh copy of a packaged workflow."""
    if name not in names():
        raise InputError(
            f"there is no workflow {name!r}", f"one of {', '.join(names())}", "correct --workflow"
        )
    graph: Graph = json.loads((_folder() / f"{name}{SUFFIX}").read_text(encoding="utf-8"))
    return graph


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
        loader, scaled = f"image{number}", f"image{number}_scaled"
        if number > 1:
            graph[loader] = copy.deepcopy(graph["image1"])
            graph[scaled] = copy.deepcopy(graph["image1_scaled"])
            graph[scaled]["inputs"]["image"] = [loader, 0]
            for encoder in _ENCODERS:
                graph[encoder]["inputs"][loader] = [scaled, 0]
        graph[loader]["inputs"]["image"] = image.annotated
    return graph
