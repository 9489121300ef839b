"""What the role `comfyui_models` adds: one file for the guest, and a look before the first change."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from .conftest import Site

ROOT = Path(__file__).resolve().parents[3]
ROLE = ROOT / "roles" / "comfyui_models"
CLIENT = ROOT / "comfyui" / "client"


def _pack(target: Path) -> Path:
    subprocess.run([sys.executable, ROLE / "files" / "pack.py", CLIENT, target], check=True)
    return target


def test_the_packed_tool_fetches_with_nothing_else_of_the_client(site: Site, tmp_path: Path) -> None:
    content = site.add("a")
    tool = _pack(tmp_path / "tool.pyz")
    # Neither aiohttp nor rich, which a guest does not have.
    block = tmp_path / "block"
    block.mkdir()
    for name in ("aiohttp", "rich"):
        (block / f"{name}.py").write_text("raise ImportError")
    command = [
        sys.executable,
        tool,
        "fetch",
        "--json",
        "--quiet",
        "--reserve",
        "0",
        "--mirror",
        site.source.url,
    ]
    done = subprocess.run(
        [*map(str, command), "--dir", str(site.folder), "--lock", str(site.lock)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(block)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["fetched"] == ["loras/a.safetensors"]
    assert site.final("a").read_bytes() == content


def test_the_same_sources_are_the_same_file(tmp_path: Path) -> None:
    assert _pack(tmp_path / "one").read_bytes() == _pack(tmp_path / "two").read_bytes()


def _look(site: Site) -> dict[str, Any]:
    script = (ROLE / "files" / "look.py").read_text()
    command = [sys.executable, "-", str(site.folder), json.dumps(list(site.files.values()))]
    done = subprocess.run(command, input=script, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_look_counts_what_is_missing_less_what_is_half_there(site: Site) -> None:
    site.add("a", 1_000_000)
    site.add("b", 5000)
    assert _look(site)["missing"] == 1_005_000
    site.final("b").parent.mkdir()
    site.final("b").write_bytes(b"short")
    half = site.final("a").with_name(".a.safetensors.part")
    half.write_bytes(b"x" * 409_600)
    os.truncate(half, 1_000_000)
    found = _look(site)
    assert found["missing"] == 1_000_000 - 409_600
    assert [one["size"] for one in found["files"]] == [None, 5]
    assert found["free"] > 0


def test_the_set_without_an_inventory_is_the_services() -> None:
    service = yaml.safe_load((ROOT / "roles" / "comfyui_service" / "defaults" / "main.yml").read_text())
    own = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
    assert f"default('{service['comfyui_service_model_set']}')" in own["comfyui_models_set"]
    assert service["comfyui_service_models_lock"].endswith("/../../comfyui/models.lock.yml")
