"""What ComfyUI's page saves is turned into the graph that the page would send, or refused with the reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from comfystack import InputError, graphs
from comfystack.workflow.check import check
from comfystack.workflow.contract import Contract
from comfystack.workflow.reading import read_graph

from .conftest import Graph


def page(graph: Graph, contract: Contract) -> dict[str, Any]:
    """The graph as the page saves it: numbered nodes, numbered links, values in the widgets' order."""
    numbers = {name: number for number, name in enumerate(graph, 1)}
    links: list[list[Any]] = []
    nodes: list[dict[str, Any]] = []
    for name, node in graph.items():
        inputs: list[dict[str, Any]] = []
        values: list[Any] = []
        for one in contract.in_order(node["class_type"]):
            value = node["inputs"].get(one.name)
            if isinstance(value, list):
                links.append(
                    [len(links) + 1, numbers[value[0]], value[1], numbers[name], len(inputs), one.type]
                )
                inputs.append({"name": one.name, "type": one.type, "link": len(links)})
            elif one.is_value and value is not None:
                values.append(value)
                values += ["randomize"] if one.name == "seed" else []
        values += ["image"] if node["class_type"] == "LoadImage" else []
        nodes.append(
            {"id": numbers[name], "type": node["class_type"], "inputs": inputs, "widgets_values": values}
        )
    return {"nodes": nodes, "links": links, "version": 0.4}


def read(document: object, tmp_path: Path) -> Graph:
    path = tmp_path / "page.json"
    path.write_text(json.dumps(document))
    return read_graph(path)


@pytest.mark.parametrize("name", graphs.names())
def test_a_saved_page_gives_the_graph_it_shows(name: str, contract: Contract, tmp_path: Path) -> None:
    graph = graphs.load(name)
    turned = read(page(graph, contract), tmp_path)
    assert check(turned, contract) == []
    keys = {str(number): key for number, key in enumerate(graph, 1)}
    for number, node in turned.items():
        expected = graph[keys[number]]
        assert node["class_type"] == expected["class_type"]
        for field, value in node["inputs"].items():
            linked = isinstance(value, list)
            assert ([keys[value[0]], value[1]] if linked else value) == expected["inputs"][field], field


def test_notes_and_reroutes_are_left_out(edit: Graph, contract: Contract, tmp_path: Path) -> None:
    document = page(edit, contract)
    document["nodes"].append({"id": 90, "type": "Note", "widgets_values": ["mine"]})
    first = document["links"][0]
    document["nodes"].append({"id": 91, "type": "Reroute", "inputs": [{"name": "", "link": 900}]})
    document["links"].append([900, first[1], first[2], 91, 0, "*"])
    before = [first[1], first[2]]
    first[1], first[2] = 91, 0
    turned = read(document, tmp_path)
    assert "90" not in turned
    assert "91" not in turned
    assert [str(before[0]), before[1]] in [
        value for value in turned[str(first[3])]["inputs"].values() if isinstance(value, list)
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"type": "MyOwnNode"}, "node 1 is of class MyOwnNode, whose widgets are not known"),
        ({"mode": 4}, "node 1 (UNETLoader) is muted or bypassed"),
        (
            {"widgets_values": ["a", "default", 1, 2]},
            "node 1 (UNETLoader) has 2 values more than it has widgets",
        ),
        ({"inputs": [{"name": "model", "link": 77777}]}, "it is not built as the page builds it"),
    ],
)
def test_what_only_the_page_can_turn_is_refused(
    change: dict[str, Any], reason: str, edit: Graph, contract: Contract, tmp_path: Path
) -> None:
    document = page(edit, contract)
    document["nodes"][0] |= change
    with pytest.raises(InputError) as refusal:
        read(document, tmp_path)
    assert reason in refusal.value.found
    assert "Export (API)" in refusal.value.next_step


def test_subgraphs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="it has subgraphs"):
        read({"nodes": [], "definitions": {"subgraphs": [{}]}}, tmp_path)
