"""The shipped workflows, and the notebooks' ones once they are fixed, run on the server under test.

On a real ComfyUI this needs models: `make contract URL=… MODELS=tiny` says that the tiny ones of tests/tiny_weights
are there. A step takes about ten seconds of a processor then, so the graphs run with the least that shows.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from comfystack import ImageRef, graphs, parameters
from comfystack.workflow.contract import recorded
from comfystack.workflow.fix import fix
from PIL import Image, ImageChops

from tests.contract import samples
from tests.contract.server import URL_VARIABLE, Server, simulator, wait_for
from tests.contract.weights import lay_models

OLD = Path(__file__).parents[1] / "unit" / "workflow" / "old"
MODELS_VARIABLE = "COMFYUI_CONTRACT_MODELS"
PHOTO_SIZE = (320, 224)
# What FluxKontextImageScale makes of that shape.
SCALED = (1248, 832)
SMALL = {"width": 256, "height": 256}
JOB_SECONDS = 900  # a busy processor takes minutes for one picture of a megapixel


@pytest.fixture(scope="module")
def comfy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    url = os.environ.get(URL_VARIABLE)
    if url and not os.environ.get(MODELS_VARIABLE):
        pytest.skip(f"{URL_VARIABLE} names a server whose models are not known: {MODELS_VARIABLE} is not set")
    if url:
        yield Server(url.rstrip("/"))
        return
    base = tmp_path_factory.mktemp("shipped")
    lay_models(base)
    with simulator(base, "--cpu") as server:
        yield server


def upload(comfy: Server, name: str, colour: str) -> ImageRef:
    answer = comfy.upload(f"{name}-{comfy.token}.png", samples.picture(colour, PHOTO_SIZE))
    return ImageRef(answer.json()["name"], type="input")


def picture_of(comfy: Server, graph: dict[str, Any]) -> Image.Image:
    prompt_id = comfy.submit(graph)
    look = lambda: comfy.get(f"/history/{prompt_id}").json()  # noqa: E731
    entry = wait_for(look, JOB_SECONDS)[prompt_id]
    assert entry["status"]["status_str"] == "success", entry["status"]["messages"][-1]
    (output,) = entry["outputs"].values()
    return comfy.output(output["images"][0]).picture()


@pytest.mark.parametrize("name", graphs.names())
def test_a_shipped_workflow_gives_a_picture(comfy: Server, name: str) -> None:
    known = parameters.schema(name).parameters
    values: dict[str, object] = {"prompt": "make it a winter evening", "seed": 7, "steps": 1}
    for key, one in known.items():
        if one.type == "image" and one.required:
            values[key] = upload(comfy, key, {"mask": "white", "image2": "navy"}.get(key, "orange"))
    sized = "width" in known
    picture = picture_of(comfy, parameters.fill(name, values | (SMALL if sized else {})))
    assert picture.size == ((256, 256) if sized else SCALED)
    assert len(picture.getcolors(1 << 24) or []) > 10, "a flat picture shows no work"


def test_outside_of_the_mask_the_photo_stays_as_it_is(comfy: Server) -> None:
    photo = upload(comfy, "image1", "orange")
    nothing = upload(comfy, "empty-mask", "black")
    values = {"prompt": "a vase", "image1": photo, "mask": nothing, "seed": 7, "steps": 1}
    picture = picture_of(comfy, parameters.fill("inpaint", values))
    change = ImageChops.difference(picture.convert("RGB"), Image.new("RGB", picture.size, "orange"))
    # Scaling may round a flat colour by one.
    assert max(high for _low, high in change.getextrema()) <= 1  # type: ignore[misc]


@pytest.mark.parametrize("name", sorted(path.stem for path in OLD.iterdir()))
def test_a_fixed_graph_of_the_notebooks_gives_a_picture(comfy: Server, name: str) -> None:
    graph = fix(json.loads((OLD / f"{name}.json").read_text()), recorded()).graph
    for node in graph.values():
        if node["class_type"] == "LoadImage":
            node["inputs"]["image"] = upload(comfy, "old", "teal").annotated
        if node["class_type"] == "KSampler":
            node["inputs"]["steps"] = 2
    size = (512, 512) if name == "text-to-image" else PHOTO_SIZE
    assert picture_of(comfy, graph).size == size
