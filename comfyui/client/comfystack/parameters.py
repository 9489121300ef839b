"""What a packaged workflow takes, read from its schema: which values, in which range, and where they go in the graph.

A schema has `title`, `model_sets` (sets of the models lock, each enough for the workflow) and `parameters`. A parameter
has `type` (text, integer, number or image), `inputs` (as NODE.INPUT) and, where they say something, `required`,
`minimum`, `maximum`, `multiple_of`, and `added` for an image whose nodes are added to the graph. A default has one
home, the graph itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import graphs
from .errors import InputError
from .events import Graph, ImageRef

SUFFIX = ".schema.json"


@dataclass(frozen=True)
class Parameter:
    """One value that a workflow takes."""

    name: str
    type: str
    inputs: tuple[str, ...]
    required: bool = False
    minimum: float | None = None
    maximum: float | None = None
    multiple_of: int | None = None
    added: bool = False

    def told(self) -> str:
        """What is expected, in words."""
        if self.type in ("text", "image"):
            return self.type
        words = f"{self.type} from {self.minimum} to {self.maximum}"
        return words + (f", a multiple of {self.multiple_of}" if self.multiple_of else "")


@dataclass(frozen=True)
class Schema:
    """What a workflow is for, which model sets serve it, and its parameters by name."""

    title: str
    model_sets: tuple[str, ...]
    parameters: Mapping[str, Parameter]


def schema(name: str) -> Schema:
    """The schema of a packaged workflow."""
    document: dict[str, Any] = json.loads(graphs.read(name, SUFFIX))
    parameters = {
        key: Parameter(key, **{**fields, "inputs": tuple(fields["inputs"])})
        for key, fields in document["parameters"].items()
    }
    return Schema(document["title"], tuple(document["model_sets"]), parameters)


def default(graph: Graph, parameter: Parameter) -> Any:
    """The value that the graph itself has for a parameter."""
    node, _, field = parameter.inputs[0].partition(".")
    return graph[node]["inputs"][field]


def fill(name: str, values: Mapping[str, object]) -> Graph:
    """A packaged workflow ready to run. Images are given as the ImageRef of an upload; numbers may be text.

    Raises InputError for a parameter that the workflow does not have, one that is missing, or a value out of range.
    """
    known = schema(name).parameters
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise InputError(
            f"workflow {name} has no parameter {unknown[0]!r}", f"one of {', '.join(known)}", "correct it"
        )
    missing = [key for key, parameter in known.items() if parameter.required and key not in values]
    if missing:
        raise InputError(
            f"workflow {name} is not given {', '.join(missing)}",
            ", ".join(f"{key} ({known[key].told()})" for key in missing),
            f"give it; `comfystack workflow show {name}` lists what the workflow takes",
        )
    graph = graphs.load(name)
    for key, parameter in known.items():
        if key not in values:
            continue
        if parameter.added:
            graphs.add_image(graph, int(key.removeprefix("image")))
        value = _checked(name, parameter, values[key])
        for place in parameter.inputs:
            node, _, field = place.partition(".")
            graph[node]["inputs"][field] = value
    return graph


def _checked(name: str, parameter: Parameter, value: object) -> str | int | float:
    wrong = InputError(
        f"{parameter.name} {value!r} for workflow {name}", parameter.told(), f"correct {parameter.name}"
    )
    if parameter.type == "image":
        if not isinstance(value, ImageRef):
            raise wrong
        return value.annotated
    if parameter.type == "text":
        if not isinstance(value, str) or (parameter.required and not value.strip()):
            raise wrong
        return value
    try:
        number = int(str(value)) if parameter.type == "integer" else float(str(value))
    except ValueError:
        raise wrong from None
    # Written so that "not a number" is refused, too.
    in_range = (parameter.minimum is None or parameter.minimum <= number) and (
        parameter.maximum is None or number <= parameter.maximum
    )
    if not in_range or (parameter.multiple_of and number % parameter.multiple_of):
        raise wrong
    return number
