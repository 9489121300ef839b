"""The lab's ComfyUI: the simulator, or a real one from an address or a clone, at the locked commit and unchanged."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import tiny_weights
from tests.lab import sources
from tests.lab.console import LabError
from tests.lab.names import ROOT

LOCK = (ROOT / "comfyui" / "sources.lock.yml").read_text()


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=test", "-c", "user.email=test@comfystack.test")
    done = subprocess.run(
        ["git", "-C", str(folder), *who, *words], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone of ComfyUI with a file that it ignores itself, and one that is not checked out."""
    folder = tmp_path / "ComfyUI"
    folder.mkdir()
    for name in ("main.py", "kept.log", "large.json"):
        (folder / name).write_text(name)
    (folder / ".gitignore").write_text("*.log\n")
    git(folder, "init", "-q")
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "-q", "-m", "Begin")
    git(folder, "update-index", "--skip-worktree", "large.json")
    (folder / "large.json").unlink()
    return folder


@pytest.fixture
def lock(clone: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(LOCK)
    found["comfyui"]["commit"] = git(clone, "rev-parse", "HEAD")
    return found


@pytest.mark.parametrize(
    "environment",
    [{"LAB_COMFYUI_SOURCE": "https://git.example.org/x.git"}, {"LAB_MODELS": "tiny"}, {"LAB_MODELS": "fp8"}],
)
def test_one_setting_without_the_other_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(LabError, match="expected: both or neither"):
        sources.choose(environment)


def test_the_simulator_asks_for_no_setting_of_the_inventory() -> None:
    assert sources.choose({}).settings() == {}


def test_a_real_comfyui_computes_on_the_processor_with_the_node_for_tiny_weights() -> None:
    chosen = sources.choose({"LAB_COMFYUI_SOURCE": "https://git.example.org/x.git", "LAB_MODELS": "tiny"})
    settings = chosen.settings()
    assert settings["gpu_pin_mode"] == "cpu"
    assert settings["comfyui_image_custom_nodes"][-1] == tiny_weights.NODE_NAME


def test_an_address_is_asked_for_the_locked_commit(tmp_path: Path) -> None:
    lock = yaml.safe_load(LOCK)
    sources.real(lock, "https://git.example.org/x.git", tmp_path)
    assert lock["comfyui"]["repository"] == "https://git.example.org/x.git"
    assert lock["comfyui"]["commit"] == yaml.safe_load(LOCK)["comfyui"]["commit"]
    assert lock["custom_nodes"][-1]["name"] == tiny_weights.NODE_NAME
    assert all(Path(path).is_file() for path in lock["dependencies"].values())


def test_of_a_clone_all_is_taken_that_is_checked_out(
    clone: Path, lock: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (clone / "untracked").write_text("x")
    sources.real(lock, str(clone), tmp_path / "room")
    assert lock["comfyui"]["repository"] == "http://mirror/git/ComfyUI.git"
    bare = tmp_path / "room" / "git" / "ComfyUI.git"
    listed = git(bare, "ls-tree", "--name-only", lock["comfyui"]["commit"]).split()
    assert listed == [".gitignore", "kept.log", "main.py"]
    assert "left out, as it is not checked out: large.json" in capsys.readouterr().out


@pytest.mark.parametrize("fault", ["changed", "other commit", "no repository"])
def test_a_clone_that_is_not_the_locked_commit_is_refused(
    clone: Path, lock: dict[str, Any], tmp_path: Path, fault: str
) -> None:
    if fault == "changed":
        (clone / "main.py").write_text("other")
    elif fault == "other commit":
        git(clone, "commit", "-q", "--allow-empty", "-m", "Next")
    else:
        (clone / ".git").rename(clone / "git")
    with pytest.raises(LabError, match=r"found: (.|\n)*next step: "):
        sources.real(lock, str(clone), tmp_path / "room")
    assert not (tmp_path / "room" / "git").exists()
