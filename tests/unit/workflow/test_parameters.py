"""Every shipped workflow says what it takes, and takes it."""

from __future__ import annotations

import pytest
from comfystack import ImageRef, InputError, graphs, parameters

VALUES: dict[str, object] = {"text": "words", "integer": "32", "number": "2.5", "image": ImageRef("mine.png")}
# What the pages and the command line promise of each.
EVERYWHERE = {"prompt", "negative", "seed", "steps", "cfg"}


def value(one: parameters.Parameter) -> object:
    return max(512, int(one.minimum or 0)) if one.multiple_of else VALUES[one.type]


@pytest.mark.parametrize("name", graphs.names())
def test_every_value_reaches_its_place_in_the_graph(name: str) -> None:
    known = parameters.schema(name).parameters
    assert set(known) >= EVERYWHERE
    graph = parameters.fill(name, {key: value(one) for key, one in known.items()})
    for one in known.values():
        for place in one.inputs:
            node, field = place.split(".")
            held = graph[node]["inputs"][field]
            assert held == (value(one).annotated if one.type == "image" else type(held)(value(one))), place  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", graphs.names())
def test_the_defaults_of_the_graph_are_in_the_range_of_the_schema(name: str) -> None:
    graph = graphs.load(name)
    known = parameters.schema(name).parameters.values()
    needed = {one.name: value(one) for one in known if one.required}
    own = {one.name: parameters.default(graph, one) for one in known if one.type in ("integer", "number")}
    filled = parameters.fill(name, needed | own)
    for one in known:
        if one.name in own:
            assert parameters.default(filled, one) == own[one.name]


@pytest.mark.parametrize("name", graphs.names())
def test_every_image_of_the_graph_is_a_parameter(name: str) -> None:
    """Else a run would ask the server for example.png, which nobody sent."""
    places = {place for one in parameters.schema(name).parameters.values() for place in one.inputs}
    for node, fields in graphs.load(name).items():
        if fields["class_type"] == "LoadImage":
            assert f"{node}.image" in places


def test_an_unknown_workflow_is_told_with_those_that_there_are() -> None:
    with pytest.raises(InputError) as refusal:
        parameters.schema("paint")
    assert "text-to-image" in refusal.value.expected
