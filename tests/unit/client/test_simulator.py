"""The installed command against the lab's ComfyUI: other code than the client's own scripted server."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from comfystack import ComfyClient, ModelMissingError, cli, graphs
from comfystack.images import png_size
from PIL import Image

ROOT = Path(__file__).parents[3]
SIMULATOR = ROOT / "tests" / "lab" / "comfyui" / "main.py"
MODELS = {
    "diffusion_models": "qwen_image_edit_2509_fp8_e4m3fn.safetensors",
    "text_encoders": "qwen_2.5_vl_7b_fp8_scaled.safetensors",
    "vae": "qwen_image_vae.safetensors",
    "loras": "Qwen-Image-Edit-2509-Lightning-4steps-V1.0-bf16.safetensors",
}
# The smallest whole safetensors file: an empty table of contents.
EMPTY_WEIGHTS = (2).to_bytes(8, "little") + b"{}"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("comfyui")
    (base / "custom_nodes").mkdir()
    for folder, name in MODELS.items():
        (base / "models" / folder).mkdir(parents=True)
        (base / "models" / folder / name).write_bytes(EMPTY_WEIGHTS)
    return base


@pytest.fixture(scope="module")
def url(base: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, str(SIMULATOR), "--cpu", "--listen", "127.0.0.1", "--port", str(port)]
    command += ["--base-directory", str(base)]
    log = base / "log"
    with (
        log.open("w") as file,
        subprocess.Popen(
            command,
            cwd=SIMULATOR.parent,
            env=os.environ | {"COMFYSIM_STEP_SECONDS": "0.05"},
            stdout=file,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            deadline = time.monotonic() + 30
            while not _answers(port):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(10)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def picture(path: Path, colour: str, size: tuple[int, int] = (96, 64)) -> Path:
    Image.new("RGB", size, colour).save(path)
    return path


def comfystack(url: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "comfystack", *map(str, arguments), "--url", url],
        env=os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("workflow", graphs.EDITS)
def test_each_workflow_turns_photos_into_a_picture(url: str, tmp_path: Path, workflow: str) -> None:
    photos = [picture(tmp_path / f"{colour}.png", colour) for colour in ("red", "green", "blue")]
    out = tmp_path / "out.png"
    with comfystack(
        url, "edit", *photos, "--prompt", "image 2 beside image 1", "--out", out, "--workflow", workflow
    ) as process:
        printed, messages = process.communicate(timeout=60)
    assert process.returncode == 0, messages
    assert "Sampling" in messages, "the socket told the steps"
    assert printed.startswith(f"{out}: ")
    with Image.open(out) as result, Image.open(photos[0]) as before:
        result.load()
        assert result.size == png_size(out.read_bytes())
        assert result.resize(before.size).tobytes() != before.tobytes()


def test_prompt_seed_and_images_all_matter(url: str, tmp_path: Path) -> None:
    red, blue = picture(tmp_path / "red.png", "red"), picture(tmp_path / "blue.png", "blue")
    runs = [
        ([red], "make it night", 1),
        ([red], "make it night", 2),
        ([red], "make it day", 1),
        ([blue], "make it night", 1),
        ([red, blue], "make it night", 1),
    ]
    with ComfyClient(url, timeout=60) as client:
        results = []
        for images, prompt, seed in [*runs, runs[0]]:
            uploaded = [client.upload_image(image) for image in images]
            job = client.run(graphs.edit("edit-lightning", uploaded, prompt, seed))
            results.append(client.view(job.images[0]))
    assert len(set(results[:5])) == 5
    assert results[5] == results[0]


def test_ctrl_c_leaves_nothing_running(url: str, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    photo = picture(tmp_path / "red.png", "red")
    with (
        comfystack(url, "edit", photo, "--prompt", "slow", "--steps", "2000", "--out", out) as process,
        ComfyClient(url) as client,
    ):
        assert process.stderr is not None
        killer = threading.Timer(30, process.kill)
        killer.start()
        for line in process.stderr:
            if "Sampling" in line or "Running" in line:
                break
        assert client.queue()["queue_running"]
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        killer.cancel()
        assert not client.queue()["queue_pending"]
        deadline = time.monotonic() + 10
        while client.queue()["queue_running"]:
            assert time.monotonic() < deadline, "the job still runs"
            time.sleep(0.02)
    assert not out.exists()


def test_a_model_that_is_not_there_is_named(url: str, base: Path, tmp_path: Path) -> None:
    lora = base / "models" / "loras" / MODELS["loras"]
    lora.unlink()
    try:
        with ComfyClient(url) as client:
            photo = client.upload_image(picture(tmp_path / "red.png", "red"))
            graph = graphs.edit("edit-lightning", [photo], "make it blue")
            with pytest.raises(ModelMissingError, match="models/loras") as caught:
                client.run(graph)
        assert caught.value.problems[0].node_id == "lightning"
    finally:
        lora.write_bytes(EMPTY_WEIGHTS)


def test_node_classes_are_asked_for_one_by_one_or_all(url: str) -> None:
    with ComfyClient(url) as client:
        one = client.object_info("KSampler")
        assert one["KSampler"]["input"]["required"]["steps"][0] == "INT"
        everything = client.object_info()
        assert len(everything) > len(one) == 1
        assert everything["KSampler"] == one["KSampler"]
        for nobody in ("Nobody", "a/b?c#d%2F e", "../queue"):
            assert client.object_info(nobody) == {}
