"""The kind of each field in what jobs.py reads: ComfyUI takes any, and ends with its own error 500."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from comfystack.errors import printable

_Check = Callable[[Any], bool]


def _is(kind: type) -> _Check:
    return lambda value: isinstance(value, kind)


def _number(value: Any) -> bool:
    # Python's own: True is a number, and some are too large to be a float.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _graph(value: Any) -> bool:
    """Nodes by their ids. What is wrong within a node, ComfyUI says itself."""
    return isinstance(value, dict) and all(
        isinstance(node, dict)
        and isinstance(node.get("class_type", ""), str)
        and isinstance(node.get("inputs", {}), dict)
        for node in value.values()
    )


_A_GRAPH = 'an object of nodes {"class_type": "…", "inputs": {…}}, as "Export (API)" saves it'
_IDS = (_texts, "a list of ids")
_A_TEXT = (_is(str), "a text")
_FIELDS: dict[str, dict[str, tuple[_Check, str]]] = {
    "prompt": {
        "prompt": (_graph, _A_GRAPH),
        "number": (_number, "a number"),
        "extra_data": (_is(dict), "an object"),
        "client_id": _A_TEXT,
        "partial_execution_targets": (_texts, "a list of node ids"),
    },
    "queue": {"delete": _IDS},
    "history": {"delete": _IDS},
    "interrupt": {"prompt_id": _A_TEXT},
}
# Where null says as much as nothing does.
_MAY_BE_NULL = ("client_id", "delete", "prompt_id", "partial_execution_targets")


def wrong(route: str, body: dict[str, Any]) -> str:
    """The first field of a kind that ComfyUI does not expect, and what it expects; "" where there is none."""
    for name, (check, expected) in _FIELDS.get(route, {}).items():
        value = body.get(name)
        if name not in body or (value is None and name in _MAY_BE_NULL) or check(value):
            continue
        return f"{name} is {printable(repr(value), 60)}; expected {expected}"
    return ""
