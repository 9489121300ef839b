"""What is wrong with a graph, node by node, held against a contract and the models that are there."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import printable
from ..events import Graph
from .contract import Contract, Input

# Inputs that earlier versions, other packs or the site's own notebooks call by another name.
RENAMED = {
    ("TextEncodeQwenImageEdit", "text"): "prompt",
    ("TextEncodeQwenImageEditPlus", "text"): "prompt",
    ("CLIPTextEncode", "prompt"): "text",
    ("QwenVLCLIPLoader", "model_path"): "model_name",
    ("QwenVLImageToLatent", "image"): "images",
    ("VAEEncode", "image"): "pixels",
    ("VAEEncode", "images"): "pixels",
    ("VAEDecode", "latent"): "samples",
    ("KSampler", "transformer"): "model",
}
_LONGEST_LIST = 8

# Folder of the lock -> names that the lock has there.
Models = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with one input of one node; `field` is "" when it is about the node itself."""

    node: str
    class_type: str
    field: str
    kind: str
    found: str
    expected: str
    next_step: str

    def __str__(self) -> str:
        where = f"node {self.node} ({self.class_type})" + (f", {self.field}" if self.field else "")
        return f"{where}: found {self.found}; expected {self.expected}; next step: {self.next_step}"


def check(graph: Graph, contract: Contract, models: Models | None = None) -> list[Finding]:
    """Everything wrong with a graph, in the order of its nodes; empty for one that the contract accepts.

    `models` are the files of the models lock by folder, None where no lock is at hand.
    """
    found = [finding for node in graph for finding in _node(graph, node, contract, models)]
    found += _cycles(graph)
    known = [node["class_type"] for node in graph.values() if node["class_type"] in contract.classes]
    if len(known) == len(graph) and not any(contract.classes[name].get("output_node") for name in known):
        last = next(reversed(graph))
        found.append(
            Finding(
                last,
                graph[last]["class_type"],
                "",
                "no_output",
                "a graph in which no node writes anything",
                "a node that saves or shows, such as SaveImage",
                "add a SaveImage node",
            )
        )
    return found


def _node(graph: Graph, node: str, contract: Contract, models: Models | None) -> Iterator[Finding]:
    class_type, values = graph[node]["class_type"], graph[node]["inputs"]
    if class_type in contract.only_named:
        return
    if class_type not in contract.classes:
        near = difflib.get_close_matches(class_type, contract.classes, 1, 0.8)
        yield Finding(
            node,
            class_type,
            "",
            "unknown_class",
            f"class {class_type}",
            f"a class of {contract.source}",
            f"did you mean {near[0]}?" if near else "`comfystack workflow explain` says what stands for it",
        )
        return
    inputs = contract.inputs(class_type)
    strays = {name for name in values if name not in inputs and not _grows(contract, class_type, name)}
    for name, one in inputs.items():
        if name in values:
            if isinstance(values[name], list) and one.type != "COMBO":
                yield from _link(graph, node, one, contract)
            else:
                yield from _value(node, class_type, one, values[name], models)
        elif one.required and not one.type.startswith("COMFY_"):
            old = next((old for old in sorted(strays) if RENAMED.get((class_type, old)) == name), None)
            strays.discard(old or "")
            yield Finding(
                node,
                class_type,
                name,
                "renamed_input" if old else "missing_input",
                f"input {old!r}" if old else "no such input",
                f"{name} ({_told(one)})",
                f"rename {old} to {name}" if old else f"give {name}",
            )
    for name in sorted(strays):
        yield Finding(
            node,
            class_type,
            name,
            "unknown_input",
            f"input {name!r}, which the server would pass over in silence",
            f"one of {', '.join(inputs)}",
            f"remove {name}, or give the input that it stands for",
        )


def _grows(contract: Contract, class_type: str, name: str) -> bool:
    """Whether a class takes inputs that depend on what is connected; those cannot be known beforehand."""
    return any(one.type.startswith("COMFY_") for one in contract.inputs(class_type).values()) or "." in name


def _link(graph: Graph, node: str, one: Input, contract: Contract) -> Iterator[Finding]:
    class_type, link = graph[node]["class_type"], graph[node]["inputs"][one.name]

    def bad(found: str, expected: str, next_step: str) -> Finding:
        return Finding(node, class_type, one.name, "bad_link", found, expected, next_step)

    if len(link) != 2 or not isinstance(link[1], int) or isinstance(link[1], bool):
        yield bad(f"the link {link!r}", "[node id, output number]", "correct the link")
        return
    source, output = str(link[0]), link[1]
    if source not in graph:
        yield bad(f"a link to node {source}, which is not there", "a node of this graph", "correct the link")
        return
    origin = graph[source]["class_type"]
    if origin not in contract.classes:
        return  # That node is a finding of its own.
    offered = contract.outputs(origin)
    if not 0 <= output < len(offered):
        yield bad(
            f"output {output} of node {source} ({origin})",
            f"an output from 0 to {len(offered) - 1} ({', '.join(offered)})",
            f"link to a node that returns {one.type}",
        )
    elif not _fits(offered[output], one.type):
        yield bad(
            f"{offered[output]} from node {source} ({origin})",
            one.type,
            f"link to a node that returns {one.type}",
        )


def _fits(offered: str, wanted: str) -> bool:
    if "COMFY_MATCHTYPE_V3" in (offered, wanted) or wanted.startswith("COMFY_"):
        return True
    parts, accepted = ({part.strip() for part in text.split(",")} for text in (offered, wanted))
    return bool("*" in parts | accepted or parts & accepted)


def _value(node: str, class_type: str, one: Input, value: Any, models: Models | None) -> Iterator[Finding]:
    def wrong(kind: str, expected: str, next_step: str = "") -> Finding:
        found = printable(repr(value), 120)
        return Finding(node, class_type, one.name, kind, found, expected, next_step or f"correct {one.name}")

    if not one.is_value:
        if not one.type.startswith("COMFY_") and one.type != "*":
            yield wrong("bad_link", f"a link to a node that returns {one.type}", f"link {one.name}")
        return
    if one.type in ("INT", "FLOAT"):
        try:
            number = int(value) if one.type == "INT" else float(value)
        except (TypeError, ValueError, OverflowError):
            yield wrong("wrong_type", _told(one))
            return
        low, high = one.minimum, one.maximum
        if (low is not None and number < low) or (high is not None and number > high) or number != number:
            yield wrong("out_of_range", _told(one))
        return
    if one.type != "COMBO":
        return
    if one.uploaded and one.choices is not None and str(value) not in one.choices:
        yield wrong("image_missing", "a picture in the server's input folder", "upload it, then use its name")
    elif one.choices is not None and str(value) not in one.choices:
        near = difflib.get_close_matches(str(value), one.choices, 1)
        model = " (a model file that the server does not have)" if one.folders else ""
        yield wrong(
            "model_missing" if one.folders else "not_in_list",
            _told(one) + model,
            f"did you mean {near[0]}?" if near else "",
        )
    elif one.choices is None and one.folders and models is not None:
        locked = {name for folder in one.folders for name in models.get(_FOLDERS.get(folder, folder), ())}
        if str(value) not in locked:
            near = difflib.get_close_matches(str(value), locked, 1)
            yield wrong(
                "model_not_locked",
                f"a file of the models lock in {' or '.join(one.folders)}: {_some(sorted(locked))}",
                f"did you mean {near[0]}?" if near else "lock the file, or name one that is",
            )


# Folder types that a custom node pack makes for files of another folder.
_FOLDERS = {"unet_gguf": "diffusion_models", "clip_gguf": "text_encoders"}


def _told(one: Input) -> str:
    if one.choices is not None:
        return f"one of {_some(list(one.choices))}"
    if one.minimum is not None and one.maximum is not None:
        return f"{one.type} from {one.minimum} to {one.maximum}"
    return one.type


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:_LONGEST_LIST])
    rest = len(names) - _LONGEST_LIST
    return (f"{shown} and {rest} more" if rest > 0 else shown) or "none"


def sources(node: Mapping[str, Any]) -> list[str]:
    """The ids of the nodes that a node is linked to."""
    return [str(value[0]) for value in node["inputs"].values() if isinstance(value, list) and len(value) == 2]


def _cycles(graph: Graph) -> list[Finding]:
    """One finding where links lead round in a circle, naming the nodes of it."""
    left = {node: {name for name in sources(graph[node]) if name in graph} for node in graph}
    # What depends on nothing is taken away until nothing is left, or only circles and what hangs on them.
    while free := [node for node, needs in left.items() if not needs]:
        for node in free:
            del left[node]
        for needs in left.values():
            needs.difference_update(free)
    if not left:
        return []
    way = [next(iter(left))]
    while (following := min(left[way[-1]])) not in way:
        way.append(following)
    circle = [*way[way.index(following) :], following]
    return [
        Finding(
            circle[0],
            graph[circle[0]]["class_type"],
            "",
            "cycle",
            f"the circle of links {' <- '.join(circle)}",
            "links that end at nodes without any",
            "cut one of these links",
        )
    ]
