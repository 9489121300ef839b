"""The edit with curl of docs/api-reference.md, typed as it stands there, against a running ComfyUI simulator."""

from __future__ import annotations

import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from tests.contract.server import simulator
from tests.contract.weights import lay_models

from . import pages
from .pages import ROOT

SERVICE = "https://qwen-image-edit.comfystack.test"


@pytest.mark.skipif(not shutil.which("curl"), reason="this machine has no curl")
def test_an_edit_with_curl_alone_brings_back_a_picture(tmp_path: Path) -> None:
    settings, *steps = pages.blocks(ROOT / "docs" / "api-reference.md", "sh")
    here = tmp_path / "checkout"
    (here / "build" / "lab").mkdir(parents=True)
    (here / "build" / "lab" / "token").write_text("0" * 64 + "\n")
    (here / "comfyui").symlink_to(ROOT / "comfyui")
    Image.radial_gradient("L").convert("RGB").resize((320, 240)).save(here / "photo.jpg")

    _type(settings.text, here)
    configuration = here / "build" / "lab" / "curl.conf"
    assert stat.S_IMODE(configuration.stat().st_mode) == 0o600
    assert f'header = "Authorization: Bearer {"0" * 64}"' in configuration.read_text()
    # TLS and the name belong to the gateway, which is not here.
    lines = configuration.read_text().splitlines()
    kept = [line for line in lines if not line.startswith(("cacert", "connect-to"))]
    assert len(kept) == len(lines) - 2
    configuration.write_text("\n".join(kept) + "\n")

    base = tmp_path / "comfyui"
    lay_models(base)
    with simulator(base, "--cpu") as server:
        said = [_type(_there(step.text, server.url), here) for step in steps]
    assert '"name": "photo.jpg"' in said[0]
    assert '"node_errors": {}' in said[1]
    assert said[2].startswith("success ")
    with Image.open(here / "winter.png") as picture:
        assert (picture.format, picture.size) == ("PNG", (1184, 880))


def _there(text: str, url: str) -> str:
    """The block against the simulator; a block after the one that sets `service` needs it told again."""
    return f"service={url}\n" + text.replace(f"service={SERVICE}\n", "")


def _type(text: str, folder: Path) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, (text, done.stdout, done.stderr)
    return done.stdout
