"""How the program starts, refuses to start, and which card it finds."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract import samples
from tests.contract.server import TREE, Server, free_port, run_to_its_end, simulator
from tests.lab.gpu import cards, guest

pytestmark = pytest.mark.usefixtures("simulated")

RTX_3080 = "GPU-6a1f0c52-9b7d-4e83-a2c4-1d58f07be936"
RTX_3090 = "GPU-e47b2d90-35c8-4f16-8a0e-c92f61d3b7a4"


@pytest.fixture(scope="module")
def wsl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root directory as a WSL2 container with both cards sees it: nvidia-smi 0 = 3080, CUDA 0 = 3090."""
    root = tmp_path_factory.mktemp("wsl")
    guest.lay_guest(cards.load(), root)
    (root / "dev").mkdir(exist_ok=True)
    (root / "dev/dxg").touch()
    return root


@pytest.fixture(autouse=True)
def no_pin_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        monkeypatch.delenv(name, raising=False)


def pins(root: Path, **variables: str) -> dict[str, str]:
    return {"COMFYSIM_ROOT": str(root), **variables}


def ask_torch(root: Path, expression: str, **variables: str) -> Any:
    script = f"import json, torch; print(json.dumps({expression}))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=TREE,
        env={**os.environ, **pins(root, **variables)},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("variables", "options", "name"),
    [
        ({}, [], "NVIDIA GeForce RTX 3090"),
        ({"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, [], "NVIDIA GeForce RTX 3090"),
        ({"CUDA_VISIBLE_DEVICES": "1"}, [], "NVIDIA GeForce RTX 3080"),
        ({"CUDA_VISIBLE_DEVICES": RTX_3090}, [], "NVIDIA GeForce RTX 3090"),
        ({"CUDA_VISIBLE_DEVICES": RTX_3090}, ["--cuda-device", "1"], "NVIDIA GeForce RTX 3080"),
    ],
    ids=["no pin", "PCI index", "index without the order", "uuid", "--cuda-device undoes the pin"],
)
def test_a_pin_decides_the_first_device(
    wsl: Path, tmp_path: Path, variables: dict[str, str], options: list[str], name: str
) -> None:
    with simulator(tmp_path, *options, env=pins(wsl, **variables), packs=False) as server:
        device = server.get("/system_stats").json()["devices"][0]
        assert device["name"] == f"cuda:0 {name} : cudaMallocAsync"
        assert device["type"] == "cuda"
        assert device["index"] == 0
        assert (
            device["vram_total"] == {"NVIDIA GeForce RTX 3080": 16, "NVIDIA GeForce RTX 3090": 24}[name] << 30
        )
        assert server.log
        assert f"[INFO]\x1b[0m Device: cuda:0 {name} : cudaMallocAsync\n" in server.log.read_text()


def test_torch_tells_the_same_as_the_server(wsl: Path) -> None:
    properties = "[str(p.uuid), p.name, p.total_memory, p.major, p.minor]"
    found = ask_torch(
        wsl, f"(lambda p: {properties})(torch.cuda.get_device_properties(0))", CUDA_VISIBLE_DEVICES=RTX_3080
    )
    assert found == [RTX_3080.removeprefix("GPU-"), "NVIDIA GeForce RTX 3080", 16 << 30, 8, 6]
    assert ask_torch(wsl, "torch.cuda.device_count()") == 2
    assert ask_torch(wsl, "torch.cuda.is_available()", CUDA_VISIBLE_DEVICES="") is False
    assert ask_torch(wsl, "torch.__version__").endswith("+cu130")


def test_without_a_driver_the_start_ends_as_torch_ends_it(tmp_path: Path) -> None:
    status, log = run_to_its_end(tmp_path, env=pins(tmp_path))
    assert status == 1
    assert "RuntimeError: Found no NVIDIA driver on your system." in log


def test_a_pin_on_a_card_that_is_not_there_ends_the_start(wsl: Path, tmp_path: Path) -> None:
    status, log = run_to_its_end(tmp_path, env=pins(wsl, CUDA_VISIBLE_DEVICES="GPU-00000000"))
    assert status == 1
    assert "RuntimeError: No CUDA GPUs are available" in log


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--no-such-option"], "unrecognized arguments: --no-such-option"),
        (["--enable-manager"], "simulator: option --enable-manager is not modelled"),
        (["--tls-keyfile", "key.pem"], "simulator: option --tls-keyfile is not modelled"),
        (["--models-directory", "/nowhere"], "The path '/nowhere' does not exist."),
        (["--cpu", "--lowvram"], "not allowed with argument"),
    ],
)
def test_a_bad_command_line_is_refused(tmp_path: Path, options: list[str], complaint: str) -> None:
    status, log = run_to_its_end(tmp_path, *options)
    assert status == 2
    assert complaint in log


def test_a_base_directory_without_custom_nodes_ends_the_start(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "main.py",
        "--cpu",
        "--port",
        str(free_port()),
        "--base-directory",
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=TREE, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "FileNotFoundError" in done.stderr


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, log = run_to_its_end(tmp_path, "--cpu", "--port", str(port))
    assert status == 1
    assert f"Port {port} is already in use on address 127.0.0.1." in log


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One good pack, one that needs a module nobody has, one that is not modelled, and small uploads only."""
    base = tmp_path_factory.mktemp("plain")
    gguf = TREE / "packs" / "ComfyUI-GGUF"
    (base / "custom_nodes").mkdir()
    (base / "custom_nodes" / gguf.name).symlink_to(gguf)
    broken = base / "custom_nodes" / "Broken"
    broken.mkdir()
    content = {"imports": ["no_such_module"], "classes": {"BrokenNode": {}}}
    (broken / "simulated_nodes.json").write_text(json.dumps(content))
    (base / "custom_nodes" / "Unknown").mkdir()
    (base / "library").mkdir()
    (base / "library" / "extra.safetensors").touch()
    (base / "extra.yaml").write_text("site:\n  base_path: library\n  loras: |\n    .\n")
    options = ["--max-upload-size", "1", "--extra-model-paths-config", str(base / "extra.yaml")]
    with simulator(base, "--cpu", *options, packs=False) as server:
        yield server


def test_a_pack_brings_its_classes_and_a_broken_one_is_only_logged(plain: Server) -> None:
    classes = plain.get("/object_info").json()
    assert classes["UnetLoaderGGUF"]["python_module"] == "custom_nodes.ComfyUI-GGUF"
    assert "BrokenNode" not in classes
    assert "QwenVLCLIPLoader" not in classes
    assert plain.log
    log = plain.log.read_text()
    assert "No module named 'no_such_module'" in log
    assert "simulator: custom node Unknown is not modelled" in log
    assert log.count("(IMPORT FAILED)") == 2


def test_a_class_of_a_pack_that_is_not_installed_is_missing(plain: Server) -> None:
    graph = {"1": {"class_type": "QwenVLEmptyLatent", "inputs": {}}}
    assert plain.post("/prompt", {"prompt": graph}).json()["error"]["type"] == "missing_node_type"


def test_extra_model_paths_are_searched(plain: Server) -> None:
    assert plain.get("/models/loras").json() == ["extra.safetensors"]


def test_a_larger_upload_than_allowed_is_refused(plain: Server) -> None:
    assert plain.upload("big.png", bytes(2 << 20)).status == 413
    assert plain.upload("small.png", samples.picture()).status == 200
    assert plain.get("/features").json()["max_upload_size"] == 1 << 20


def test_user_data_keeps_an_encoded_slash(plain: Server) -> None:
    """A proxy that decodes %2F turns this into a path that does not exist."""
    stored = plain.ask("POST", "/userdata/workflows%2Fmine.json", b'{"a": 1}')
    assert stored.status == 200
    assert stored.json() == "workflows/mine.json"
    assert plain.ask("GET", "/userdata/workflows%2Fmine.json").json() == {"a": 1}
    assert plain.ask("GET", "/userdata/workflows/mine.json").status == 404
    assert plain.get("/userdata", dir="workflows").json() == ["mine.json"]
    moved = plain.ask("POST", "/userdata/workflows%2Fmine.json/move/workflows%2Fyours.json")
    assert moved.json() == "workflows/yours.json"
    assert plain.ask("DELETE", "/userdata/workflows%2Fyours.json").status == 204
    assert plain.ask("GET", "/userdata/..%2F..%2Fserver.log").status == 403


def test_settings_are_kept(plain: Server) -> None:
    assert plain.post("/settings", {"Comfy.ColorPalette": "dark"}).status == 200
    assert plain.post("/settings/Comfy.Locale", "fr").status == 200
    assert plain.get("/settings").json() == {"Comfy.ColorPalette": "dark", "Comfy.Locale": "fr"}
    assert plain.get("/settings/Comfy.Locale").json() == "fr"
