"""The graphs that a real ComfyUI executed run here too, and every input shows in the picture."""

from __future__ import annotations

import asyncio
import copy
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops

from tests.contract import samples
from tests.contract.events import is_event, listening, off_loop
from tests.contract.server import Server, run_to_its_end, simulator
from tests.contract.weights import lay_models

WORKFLOWS = Path(__file__).parent / "workflows"
# The sizes a real server gave; a 64 x 48 picture is scaled to 1184 x 880 where the graph scales.
SIZES = {
    "edit_single_lightning4": (1184, 880),
    "edit_multi3_cfg4_20steps": (1184, 880),
    "test_multi3_2steps": (1184, 880),
    "t2i_lightning8": (1328, 1328),
    "test_t2i_256": (256, 256),
    "test_bridge": (256, 256),
    "test_edit_fast": (64, 48),
    "test_edit_fast_ref": (64, 48),
}

pytestmark = pytest.mark.usefixtures("simulated")


@pytest.fixture(scope="module")
def comfy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    base = tmp_path_factory.mktemp("workflows")
    lay_models(base)
    with simulator(base, "--cpu", "--cache-none", "--preview-method", "auto") as server:
        server.upload("probe_in.png", samples.picture(size=(64, 48)))
        server.upload("blue.png", samples.picture("blue", (640, 480)))
        yield server


def workflow(name: str) -> dict[str, Any]:
    return dict(json.loads((WORKFLOWS / f"{name}.api.json").read_text(encoding="utf-8")))


def edit(**sampler: Any) -> dict[str, Any]:
    """The quick edit, with other sampler values."""
    graph = workflow("test_edit_fast_ref")
    next(node for node in graph.values() if node["class_type"] == "KSampler")["inputs"].update(sampler)
    return graph


def picture_of(comfy: Server, graph: dict[str, Any]) -> Image.Image:
    entry = comfy.run(graph)
    assert entry["status"]["status_str"] == "success", entry["status"]["messages"][-1]
    (output,) = entry["outputs"].values()
    return comfy.output(output["images"][0]).picture()


def failure_of(comfy: Server, graph: dict[str, Any]) -> dict[str, Any]:
    ending = comfy.run(graph)["status"]["messages"][-1]
    assert ending[0] == "execution_error", ending
    return dict(ending[1])


def differs(one: Image.Image, other: Image.Image) -> bool:
    return one.size != other.size or ImageChops.difference(one, other).getbbox() is not None


def test_every_recorded_workflow_has_an_expected_size() -> None:
    assert {path.name.removesuffix(".api.json") for path in WORKFLOWS.iterdir()} == set(SIZES)


@pytest.mark.parametrize(("name", "size"), SIZES.items())
def test_a_workflow_gives_a_picture_of_the_real_size(comfy: Server, name: str, size: tuple[int, int]) -> None:
    picture = picture_of(comfy, workflow(name))
    assert picture.size == size
    assert len(picture.getcolors(1 << 24) or []) > 10, "a flat picture shows no pattern"


def test_the_same_request_gives_the_same_pixels(comfy: Server) -> None:
    assert not differs(picture_of(comfy, edit(seed=7)), picture_of(comfy, edit(seed=7)))


@pytest.mark.parametrize(
    "change", [{"seed": 8}, {"steps": 3}, {"cfg": 2.5}, {"sampler_name": "heun"}, {"scheduler": "beta"}]
)
def test_each_sampler_value_shows_in_the_picture(comfy: Server, change: dict[str, Any]) -> None:
    assert differs(picture_of(comfy, edit(seed=7)), picture_of(comfy, edit(**{"seed": 7, **change})))


def test_prompt_picture_and_lora_show_in_the_picture(comfy: Server) -> None:
    graph = workflow("edit_single_lightning4")
    first = picture_of(comfy, graph)
    for node_id, change in {
        "111": {"prompt": "make it green"},
        "78": {"image": "blue.png"},
        "89": {"strength_model": 0.5},
    }.items():
        changed = copy.deepcopy(graph)
        changed[node_id]["inputs"].update(change)
        assert differs(first, picture_of(comfy, changed)), node_id


def test_the_negative_prompt_counts_only_above_cfg_1(comfy: Server) -> None:
    def with_negative(text: str, cfg: float) -> Image.Image:
        graph = workflow("edit_single_lightning4")
        graph["110"]["inputs"]["prompt"] = text
        graph["3"]["inputs"]["cfg"] = cfg
        return picture_of(comfy, graph)

    assert not differs(with_negative("", 1.0), with_negative("blurry", 1.0))
    assert differs(with_negative("", 2.0), with_negative("blurry", 2.0))


def test_an_edit_differs_from_its_input(comfy: Server) -> None:
    graph = workflow("edit_single_lightning4")
    graph["78"]["inputs"]["image"] = "blue.png"
    before = Image.new("RGB", (1184, 880), "blue")
    assert differs(picture_of(comfy, graph), before)


def test_a_gguf_model_runs_when_its_pack_is_installed(comfy: Server) -> None:
    graph = workflow("edit_single_lightning4")
    graph["37"] = {
        "class_type": "UnetLoaderGGUF",
        "inputs": {"unet_name": "Qwen-Image-Edit-2509-Q4_K_M.gguf"},
    }
    assert picture_of(comfy, graph).size == (1184, 880)


def test_a_missing_model_file_is_refused_with_the_files_that_are_there(comfy: Server) -> None:
    graph = workflow("edit_single_lightning4")
    graph["37"]["inputs"]["unet_name"] = "other.safetensors"
    answer = comfy.post("/prompt", {"prompt": graph})
    assert answer.status == 400
    (error,) = answer.json()["node_errors"]["37"]["errors"]
    assert error["type"] == "value_not_in_list"
    assert "qwen_image_edit_2509_fp8_e4m3fn.safetensors" in error["details"]


def test_a_model_file_that_appears_is_usable_without_a_restart(comfy: Server) -> None:
    assert comfy.base
    graph = workflow("test_edit_fast")
    graph["37"]["inputs"]["unet_name"] = "fresh.safetensors"
    assert comfy.post("/prompt", {"prompt": graph}).status == 400
    lay_models(comfy.base)
    folder = comfy.base / "models" / "diffusion_models"
    (folder / "fresh.safetensors").write_bytes((folder / "qwen_image_fp8_e4m3fn.safetensors").read_bytes())
    assert picture_of(comfy, graph)


def test_an_error_page_saved_as_a_model_fails_when_it_is_loaded(comfy: Server) -> None:
    assert comfy.base
    page = comfy.base / "models" / "diffusion_models" / "page.safetensors"
    page.write_bytes(b"<!doctype html><title>404 Not Found</title>")
    graph = workflow("test_edit_fast")
    graph["37"]["inputs"]["unet_name"] = page.name
    assert "header too large" in failure_of(comfy, graph)["exception_message"]


def test_a_class_without_an_implementation_fails_by_name(comfy: Server) -> None:
    graph = samples.graph("prompt_ok")
    graph["3"] = {"class_type": "ImageSharpen", "inputs": {"image": ["1", 0], "sharpen_radius": 1}}
    graph["3"]["inputs"] |= {"sigma": 1.0, "alpha": 1.0}
    graph["2"]["inputs"]["images"] = ["3", 0]
    message = failure_of(comfy, graph)["exception_message"]
    assert message == "simulator: node class ImageSharpen is not modelled\n"


def test_a_class_whose_contract_is_not_carried_is_refused_by_name(comfy: Server) -> None:
    graph = {"1": {"class_type": "WanImageToVideo", "inputs": {}}}
    error = comfy.post("/prompt", {"prompt": graph}).json()["error"]
    assert error["message"].startswith("simulator: node class WanImageToVideo is not modelled")


@pytest.mark.parametrize("path", ["/docs", "/templates/x.json", "/experiment/models", "/global_subgraphs"])
def test_a_route_without_a_model_says_so(comfy: Server, path: str) -> None:
    answer = comfy.get(path)
    assert answer.status == 501
    assert answer.text == f"simulator: GET {path} is not modelled"


@pytest.mark.parametrize("name", ["test_t2i_256", "test_edit_fast_ref"])
def test_the_events_of_a_workflow_come_as_recorded(comfy: Server, name: str) -> None:
    """Which node runs when, and every step's progress, as a real server with tiny weights told it."""

    async def story() -> list[dict[str, Any]]:
        client = str(uuid.uuid4())
        async with listening(comfy, client) as listener:
            listener.seen.clear()
            prompt_id = await off_loop(comfy.submit, workflow(name), client_id=client)
            await listener.until_done(prompt_id)
            return list(listener.seen)

    assert samples.normal_events(asyncio.run(story())) == samples.normal_events(samples.load(f"ws_{name}"))


def test_progress_counts_every_step_and_previews_come_as_jpeg(comfy: Server) -> None:
    async def watch() -> tuple[list[int], list[bytes]]:
        client = str(uuid.uuid4())
        async with listening(comfy, client) as listener:
            prompt_id = await off_loop(comfy.submit, edit(steps=5), client_id=client)
            await listener.until_done(prompt_id)
            steps = [m["data"]["value"] for m in listener.seen if is_event(m, "progress", prompt_id)]
            return steps, listener.frames

    steps, frames = asyncio.run(watch())
    assert steps == [1, 2, 3, 4, 5]
    assert len(frames) == 5
    assert frames[0][:8] == bytes([0, 0, 0, 1, 0, 0, 0, 1])
    assert frames[0][8:10] == b"\xff\xd8"


def test_a_step_takes_the_time_it_is_given_and_an_interrupt_does_not_wait_for_it(tmp_path: Path) -> None:
    lay_models(tmp_path)
    with simulator(tmp_path, "--cpu", env={"COMFYSIM_STEP_SECONDS": "3000"}) as slow:
        slow.upload("probe_in.png", samples.picture())
        client = str(uuid.uuid4())

        async def watch() -> list[str]:
            async with listening(slow, client) as listener:
                prompt_id = await off_loop(slow.submit, edit(steps=2), client_id=client)
                await listener.until(
                    lambda m: is_event(m, "executing", prompt_id) and m["data"]["node"] == "3"
                )
                await off_loop(slow.post, "/interrupt")
                await listener.until_done(prompt_id)
                return [message["type"] for message in listener.seen]

        kinds = asyncio.run(watch())
    assert "progress" not in kinds
    assert "execution_interrupted" in kinds


def test_a_bad_step_time_is_refused(tmp_path: Path) -> None:
    status, log = run_to_its_end(tmp_path, "--cpu", env={"COMFYSIM_STEP_SECONDS": "soon"})
    assert status == 1
    assert "COMFYSIM_STEP_SECONDS: found 'soon', expected seconds" in log


def test_sampling_stops_between_two_steps_when_interrupted(comfy: Server) -> None:
    async def interrupt() -> list[dict[str, Any]]:
        client = str(uuid.uuid4())
        async with listening(comfy, client) as listener:
            prompt_id = await off_loop(comfy.submit, edit(steps=5000), client_id=client)
            await listener.until(lambda message: is_event(message, "progress", prompt_id))
            await off_loop(comfy.post, "/interrupt")
            await listener.until_done(prompt_id)
            return listener.seen

    seen = asyncio.run(interrupt())
    ending = next(message for message in seen if message["type"] == "execution_interrupted")
    assert ending["data"]["node_type"] == "KSampler"
    assert not any(message["type"] == "execution_success" for message in seen)
