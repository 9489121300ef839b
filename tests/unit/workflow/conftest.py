from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from comfystack import graphs
from comfystack.workflow.contract import Contract, recorded

OLD = Path(__file__).parent / "old"

Graph = dict[str, dict[str, Any]]


@pytest.fixture(scope="session")
def contract() -> Contract:
    return recorded()


@pytest.fixture
def edit() -> Graph:
    """A shipped graph to break."""
    return graphs.load("edit")


def old(name: str) -> Graph:
    """A graph as the site's notebooks have it, or as they go on from there."""
    return dict(json.loads((OLD / f"{name}.json").read_text(encoding="utf-8")))
