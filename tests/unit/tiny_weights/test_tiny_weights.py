"""The tiny weights are whole files, the same everywhere, and enough for every shipped workflow."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from pathlib import Path

import pytest
import yaml
from comfystack import graphs

from tests import tiny_weights
from tests.tiny_weights.__main__ import main

ROOT = Path(__file__).resolve().parents[3]
FILES = yaml.safe_load((ROOT / "comfyui" / "models.lock.yml").read_text())["files"]
MADE = [key for key in FILES if tiny_weights.content(key)]
WIDTH = {"F8_E4M3": 1, "BF16": 2}


@pytest.mark.parametrize("key", MADE)
def test_a_file_is_whole(key: str) -> None:
    content = tiny_weights.content(key) or b""
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + size])
    end = 0
    for name, tensor in header.items():
        if name == "__metadata__":
            continue
        begin, end_of_this = tensor["data_offsets"]
        assert begin == end
        end = end_of_this
        assert end - begin == math.prod(tensor["shape"]) * WIDTH[tensor["dtype"]]
    assert len(content) == 8 + size + end
    assert len(content) < 12 * 1024**2


def test_every_model_of_every_shipped_workflow_is_made() -> None:
    made = {FILES[key]["name"] for key in MADE}
    for name in graphs.names():
        for node in graphs.load(name).values():
            for value in node["inputs"].values():
                assert not str(value).endswith(".safetensors") or value in made, (name, value)


def test_the_bytes_are_the_same_on_every_machine() -> None:
    """Else the lab's lock would change from run to run, and with it what is deployed."""
    digest = hashlib.sha256(tiny_weights.content("lightning-4steps") or b"").hexdigest()
    assert digest == "f337c210ea16df60f046bb7d04fcf2b299d0f140e570ae461af6f57e2939ea26"


def test_the_files_are_laid_out_as_comfyui_wants_them(tmp_path: Path) -> None:
    assert main([str(tmp_path)]) == 0
    laid = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.safetensors")}
    assert laid == {f"{FILES[key]['folder']}/{FILES[key]['name']}" for key in MADE}
    assert main([str(tmp_path)]) == 0


def test_real_weights_are_never_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entry = FILES["vae"]
    real = tmp_path / entry["folder"] / entry["name"]
    real.parent.mkdir(parents=True)
    real.write_bytes(b"real weights")
    assert main([str(tmp_path)]) == 2
    assert real.read_bytes() == b"real weights"
    assert "without real weights" in capsys.readouterr().err


def test_a_call_without_a_folder_tells_how(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "MODELS_DIR" in capsys.readouterr().err
