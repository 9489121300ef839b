"""`make clean` removes what was generated, and nothing that something still stands on."""

from __future__ import annotations

import fcntl
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
clean = runpy.run_path(str(ROOT / "ansible" / "clean.py"))["main"]


@pytest.fixture
def build(tmp_path: Path) -> Path:
    folder = tmp_path / "build"
    (folder / "venv" / "bin").mkdir(parents=True)
    (folder / "mysite").mkdir()
    (folder / "mysite" / "token").write_text("secret")
    return folder


def test_everything_generated_is_removed(build: Path) -> None:
    assert clean(build) == 0
    assert not build.exists()


def test_twice_is_fine(tmp_path: Path) -> None:
    assert clean(tmp_path / "build") == 0


def test_a_lab_that_stands_is_named_with_the_way_to_take_it_down(
    build: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("lab", "second"):
        (build / name).mkdir()
        (build / name / "lab.json").write_text("{}")
    assert clean(build) == 1
    said = capsys.readouterr().err
    assert "make lab-down LAB_NAME=lab; make lab-down LAB_NAME=second" in said
    assert (build / "mysite" / "token").exists()


def test_a_deployment_under_way_is_not_disturbed(build: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (build / "mysite" / "deploy.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert clean(build) == 1
    assert "a deployment of mysite is under way" in capsys.readouterr().err
    assert (build / "mysite" / "token").exists()
    # The lock of one that was killed is held by nobody.
    assert clean(build) == 0
