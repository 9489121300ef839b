"""A workflow as ComfyUI's page saves it, turned into the graph that the page itself would send.

The page keeps a node's values as a bare list, in the order of its widgets, so only nodes of known classes can be
turned; groups, subgraphs and anything else that the page resolves by itself are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import InputError
from ..events import Graph
from .contract import Contract

_NOTES = ("Note", "MarkdownNote")
_REROUTE = "Reroute"
_MUTED, _BYPASSED = 2, 4
# What the page adds behind a seed, and behind an image that can be uploaded.
_AFTER_A_SEED = ("fixed", "increment", "decrement", "randomize")
_EXPORT = "open it in ComfyUI and use Workflow > Export (API), then name that file"


def to_graph(document: Mapping[str, Any], contract: Contract, where: str) -> Graph:
    """The graph of a saved page. InputError names the node that cannot be turned."""
    try:
        if (document.get("definitions") or {}).get("subgraphs"):
            raise _refusal(where, "it has subgraphs")
        nodes = {str(node["id"]): node for node in document["nodes"]}
        links = {link[0]: (str(link[1]), int(link[2])) for link in document.get("links", [])}
        return {
            key: _node(key, node, nodes, links, contract, where)
            for key, node in nodes.items()
            if node["type"] not in (*_NOTES, _REROUTE)
        }
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise _refusal(
            where, f"it is not built as the page builds it ({type(error).__name__}: {error})"
        ) from None


def _refusal(where: str, reason: str) -> InputError:
    return InputError(
        f"{where} is a workflow as ComfyUI's page saves it, and cannot be turned into a graph: {reason}",
        "a workflow in API format, or a page of nodes of this ComfyUI",
        _EXPORT,
    )


def _node(
    key: str,
    node: Mapping[str, Any],
    nodes: Mapping[str, Mapping[str, Any]],
    links: Mapping[Any, tuple[str, int]],
    contract: Contract,
    where: str,
) -> dict[str, Any]:
    kind = node["type"]
    if kind not in contract.classes:
        raise _refusal(where, f"node {key} is of class {kind}, whose widgets are not known")
    if node.get("mode", 0) in (_MUTED, _BYPASSED):
        raise _refusal(where, f"node {key} ({kind}) is muted or bypassed")
    linked = {
        one["name"]: _origin(links[one["link"]], nodes, links)
        for one in node.get("inputs", [])
        if one.get("link") is not None
    }
    values = node.get("widgets_values") or []
    named = (
        dict(values) if isinstance(values, dict) else dict(_named(key, kind, list(values), contract, where))
    )
    title = node.get("title") or kind
    return {"class_type": kind, "inputs": {**named, **linked}, "_meta": {"title": title}}


def _origin(
    link: tuple[str, int], nodes: Mapping[str, Mapping[str, Any]], links: Mapping[Any, tuple[str, int]]
) -> list[Any]:
    """Where a link comes from, reroutes left out."""
    source, output = link
    for _ in range(len(nodes)):
        if nodes[source]["type"] != _REROUTE:
            break
        source, output = links[nodes[source]["inputs"][0]["link"]]
    return [source, output]


def _named(
    key: str, kind: str, values: list[Any], contract: Contract, where: str
) -> Iterator[tuple[str, Any]]:
    for one in contract.in_order(kind):
        if not one.is_value:
            continue
        if not values:
            break
        yield one.name, values.pop(0)
        if one.type == "INT" and values and values[0] in _AFTER_A_SEED:
            values.pop(0)
    # The upload button of LoadImage has a value, too.
    if values not in ([], ["image"]):
        raise _refusal(where, f"node {key} ({kind}) has {len(values)} values more than it has widgets")
