"""The course's notebook is what its cells make, and says nothing that the package does not know."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

NOTEBOOKS = Path(__file__).parents[3] / "comfyui" / "notebooks"


@pytest.fixture
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_notebook", NOTEBOOKS / "build.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_notebook_is_in_step_with_its_cells(build: ModuleType) -> None:
    assert build.main(["--check"]) == 0


def test_a_notebook_that_is_not_is_told(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(build, "NOTEBOOK", tmp_path / "old.ipynb")
    assert build.main(["--check"]) == 1
    assert "next step: make notebook" in capsys.readouterr().err


def test_it_has_the_course_s_fifteen_cells_and_no_output(build: ModuleType) -> None:
    cells = build.build().cells
    assert [cell.cell_type for cell in cells] == ["markdown", "code"] * 7 + ["markdown"]
    assert not any(cell.get("outputs") for cell in cells)


def test_the_solution_is_folded_below_the_exercise(build: ModuleType) -> None:
    exercise = build.build().cells[13].source
    assert "<details><summary>Solution</summary>" in exercise
    assert build.SOLUTION.read_text() in exercise
