"""Checks a submitted graph against the node contract, with ComfyUI's error types, messages and shapes.

Walking starts at each output node. A node's own problems are reported on that node; the nodes below it are
invalid too but carry no error. An output that fails is dropped while the others still run: a client has to
look at `node_errors` even when the answer is 200.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from .input_checks import Error, bounds_error, choice_error, convert
from .node_contract import NodeContract

Graph = dict[str, Any]

# Inputs whose class checks them itself (a file that must exist); the list check is then skipped.
_FILE_CHECKED = {
    "LoadImage": "image",
    "LoadImageMask": "image",
    "LoadImageOutput": "image",
    "LoadLatent": "latent",
}
_FILE_PROBLEM = {"image": "Invalid image file", "latent": "Invalid latent file"}
# Inputs whose set grows with what is connected; the real server expands them before it validates.
_DYNAMIC = ("COMFY_AUTOGROW_V3", "COMFY_DYNAMICCOMBO_V3", "COMFY_DYNAMICSLOT_V3")


@dataclass
class Verdict:
    """`error` is None when at least one output may run; `outputs` are those, `node_errors` the rest's."""

    error: Error | None
    outputs: list[str] = field(default_factory=list)
    node_errors: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass
class _NodeState:
    valid: bool
    errors: list[Error]


def validate(graph: Graph, contract: NodeContract, targets: Iterable[str] | None = None) -> Verdict:
    """The verdict on a graph. Values are converted in place ("128" becomes 128), as on a real server."""
    outputs: list[str] = []
    wanted = None if targets is None else set(targets)
    for node_id in graph:
        error = _class_error(node_id, graph[node_id], contract)
        if error:
            return Verdict(error)
        if contract.is_output_node(graph[node_id]["class_type"]) and (wanted is None or node_id in wanted):
            outputs.append(node_id)
    if not outputs:
        return Verdict(_error("prompt_no_outputs", "Prompt has no outputs", ""))

    walk = _Walk(graph, contract)
    verdict = Verdict(None)
    messages: list[str] = []
    for output in outputs:
        state = walk.check_output(output)
        if state.valid:
            verdict.outputs.append(output)
            continue
        messages += [f"{error['message']}: {error['details']}" for error in state.errors]
        for node_id, node_state in walk.states.items():
            if node_state.valid or not node_state.errors:
                continue
            entry = verdict.node_errors.setdefault(
                node_id,
                {
                    "errors": node_state.errors,
                    "dependent_outputs": [],
                    "class_type": graph[node_id]["class_type"],
                },
            )
            entry["dependent_outputs"].append(output)
    if not verdict.outputs:
        verdict.error = _error(
            "prompt_outputs_failed_validation", "Prompt outputs failed validation", "\n".join(messages)
        )
    return verdict


def _class_error(node_id: str, node: Any, contract: NodeContract) -> Error | None:
    if "class_type" not in node:
        title = node.get("_meta", {}).get("title")
        message = (
            f"Node '{title or f'ID #{node_id}'}' has no class_type. "
            "The workflow may be corrupted or a custom node is missing."
        )
        return _missing(node_id, None, title, message)
    class_type = node["class_type"]
    if class_type in contract.classes:
        return None
    title = node.get("_meta", {}).get("title", class_type)
    message = f"Node '{title}' not found. The custom node may not be installed."
    if class_type in contract.not_carried:
        message = f"simulator: node class {class_type} is not modelled (a real ComfyUI has it)"
    return _missing(node_id, class_type, title, message)


def _missing(node_id: str, class_type: str | None, title: str | None, message: str) -> Error:
    info = {"node_id": node_id, "class_type": class_type, "node_title": title}
    return _error("missing_node_type", message, f"Node ID '#{node_id}'", info)


def _error(kind: str, message: str, details: str, extra: dict[str, Any] | None = None) -> Error:
    return {"type": kind, "message": message, "details": details, "extra_info": extra or {}}


def _exception_name(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _trace() -> list[str]:
    trace: TracebackType | None = sys.exc_info()[2]
    return traceback.format_tb(trace)


class _Walk:
    """Depth-first from the outputs, each node judged once; `path` is the way to the current node."""

    def __init__(self, graph: Graph, contract: NodeContract) -> None:
        self.graph = graph
        self.contract = contract
        self.states: dict[str, _NodeState] = {}
        self.path: list[str] = []

    def check_output(self, node_id: str) -> _NodeState:
        try:
            return self.check(node_id)
        except Exception as error:  # any exception here is a finding about the graph, reported as one
            reason = _error(
                "exception_during_validation",
                "Exception when validating node",
                str(error),
                {"exception_type": _exception_name(error), "traceback": _trace()},
            )
            self.states[node_id] = _NodeState(False, [reason])
            return self.states[node_id]

    def check(self, node_id: str) -> _NodeState:
        if node_id in self.states:
            return self.states[node_id]
        if node_id in self.path:
            return self._cycle(node_id)
        node = self.graph[node_id]
        values: dict[str, Any] = node["inputs"]
        class_type: str = node["class_type"]
        errors: list[Error] = []
        upstream_valid = True
        for name, (category, kind, options) in self.contract.inputs(class_type).items():
            if kind in _DYNAMIC:
                raise NotImplementedError(f"simulator: dynamic input {class_type}.{name} is not modelled")
            if name not in values:
                if category == "required":
                    info = {"input_name": name}
                    errors.append(_error("required_input_missing", "Required input is missing", name, info))
                continue
            if isinstance(values[name], list):
                error, valid = self._link(node_id, name, values[name], kind, options)
                upstream_valid = upstream_valid and valid
            else:
                error = self._constant(class_type, values, name, kind, options)
            if error:
                errors.append(error)
        errors += self._file_errors(class_type, values)
        return self._settle(node_id, errors, upstream_valid)

    def _settle(self, node_id: str, errors: list[Error], upstream_valid: bool) -> _NodeState:
        # A cycle found further up may already have put an error on this node: join, do not replace.
        earlier = self.states.get(node_id, _NodeState(True, []))
        joined = earlier.errors + [error for error in errors if error not in earlier.errors]
        self.states[node_id] = _NodeState(earlier.valid and upstream_valid and not errors, joined)
        return self.states[node_id]

    def _cycle(self, node_id: str) -> _NodeState:
        way = [*self.path[self.path.index(node_id) :], node_id]
        members = list(dict.fromkeys(way))
        text = " -> ".join(f"{member} ({self.graph[member]['class_type']})" for member in way)
        for member in members:
            info = {"node_id": member, "cycle_nodes": members}
            error = _error("dependency_cycle", "Dependency cycle detected", text, info)
            self.states[member] = _NodeState(False, [error])
        return self.states[node_id]

    def _link(
        self, node_id: str, name: str, link: list[Any], kind: Any, options: dict[str, Any]
    ) -> tuple[Error | None, bool]:
        config = [kind, options]
        if len(link) != 2:
            message = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
            info = {"input_name": name, "input_config": config, "received_value": link}
            return _error("bad_linked_input", message, name, info), True
        source = link[0]
        received = self.contract.outputs(self.graph[source]["class_type"])[link[1]]
        if not types_match(received, kind):
            details = f"{name}, received_type({received}) mismatch input_type({kind})"
            info = {
                "input_name": name,
                "input_config": config,
                "received_type": received,
                "linked_node": link,
            }
            message = "Return type mismatch between linked nodes"
            return _error("return_type_mismatch", message, details, info), True
        self.path.append(node_id)
        try:
            return None, self.check(source).valid
        except Exception as error:  # reported on the linked node, so that the walk goes on
            info = {
                "input_name": name,
                "input_config": config,
                "exception_message": str(error),
                "exception_type": _exception_name(error),
                "traceback": _trace(),
                "linked_node": link,
            }
            message = "Exception when validating inner node"
            reason = _error("exception_during_inner_validation", message, str(error), info)
            self.states[source] = _NodeState(False, [reason])
            return None, False
        finally:
            self.path.pop()

    def _constant(
        self, class_type: str, values: dict[str, Any], name: str, kind: Any, options: dict[str, Any]
    ) -> Error | None:
        value = values[name]
        if isinstance(value, dict) and "__value__" in value:
            value = values[name] = value["__value__"]
        try:
            value = values[name] = convert(value, kind)
        except Exception as error:
            info = {
                "input_name": name,
                "input_config": [kind, options],
                "received_value": value,
                "exception_message": str(error),
            }
            message = f"Failed to convert an input value to a {kind} value"
            return _error("invalid_input_type", message, f"{name}, {value}, {error}", info)
        if _FILE_CHECKED.get(class_type) == name:
            return None
        return bounds_error(name, value, kind, options) or choice_error(name, value, kind, options)

    def _file_errors(self, class_type: str, values: dict[str, Any]) -> list[Error]:
        name = _FILE_CHECKED.get(class_type)
        if name is None or name not in values or isinstance(values[name], list):
            return []
        if self.contract.folders.annotated_file_exists(values[name]):
            return []
        details = f"{name} - {_FILE_PROBLEM[name]}: {values[name]}"
        message = "Custom validation failed for node"
        return [_error("custom_validation_failed", message, details, {"input_name": name})]


def types_match(received: Any, wanted: Any) -> bool:
    """Whether an output type may feed an input type: equal, "*", or overlapping "A,B" unions."""
    if received == wanted or "*" in (received, wanted) or "COMFY_MATCHTYPE_V3" in (received, wanted):
        return True
    if isinstance(received, list) and wanted == "COMBO":
        return True
    if not isinstance(received, str) or not isinstance(wanted, str):
        return False
    offered = {part.strip() for part in received.split(",")}
    accepted = {part.strip() for part in wanted.split(",")}
    return "*" in offered | accepted or bool(offered & accepted)
