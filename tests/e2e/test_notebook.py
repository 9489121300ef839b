"""The course's notebook runs from its first cell to its last through the public name, and its solution too."""

from __future__ import annotations

import os
from pathlib import Path

import nbclient
import nbformat

from tests.lab.names import ROOT

from .running import REPORTS, Done
from .site import Lab

NOTEBOOKS = ROOT / "comfyui" / "notebooks"
# Ends what hangs; a cell takes seconds.
CELL_SECONDS = 300
# Cells 6, 8 (two), 10, 12 (two), and the solution's.
PICTURES = 7


def test_every_cell_runs_and_shows_its_pictures(lab: Lab, deployed: Done) -> None:
    notebook = nbformat.read(NOTEBOOKS / "qwen-image-edit.ipynb", as_version=4)
    solution = (NOTEBOOKS / "cells" / "14-solution.py").read_text(encoding="utf-8")
    notebook.cells.append(nbformat.v4.new_code_cell(solution, id="solution"))
    runner = nbclient.NotebookClient(
        notebook, timeout=CELL_SECONDS, kernel_name="python3", resources={"metadata": {"path": str(ROOT)}}
    )
    packages = str(ROOT / "comfyui" / "client")
    runner.execute(env={**os.environ, "COMFYSTACK_ACCESS": str(lab.access_file), "PYTHONPATH": packages})
    executed: Path = REPORTS / "qwen-image-edit.ipynb"
    nbformat.write(notebook, executed)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == PICTURES, executed
    assert "NVIDIA GeForce RTX 3090" in notebook.cells[1].outputs[0].text, executed
    token = lab.secret("token")
    assert token not in executed.read_text(), "a notebook is handed around"
