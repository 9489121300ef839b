"""A workflow file, read into a graph: what else such files hold is told apart and named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import InputError, printable
from ..events import Graph
from .contract import recorded
from .page import to_graph

LARGEST = 8 * 1024**2  # bytes; the largest graph that is shipped has some six thousand
_API = "a workflow in ComfyUI's API format: node ids, each with class_type and inputs"


def read_graph(path: Path) -> Graph:
    """The graph in a file. A file that holds `{"prompt": GRAPH}`, as POST /prompt takes it, does as well, and
    one that ComfyUI's page saved is turned into its graph.

    Raises InputError for anything else, saying what it is.
    """
    document = _document(path)
    if isinstance(document, dict) and isinstance(document.get("prompt"), dict):
        document = document["prompt"]
    if isinstance(document, dict) and isinstance(document.get("nodes"), list):
        document = to_graph(document, recorded(), str(path))
    if not isinstance(document, dict) or not document:
        what = "an empty object" if document == {} else f"JSON of another kind ({type(document).__name__})"
        raise InputError(f"{path} holds {what}", _API, "export the workflow from ComfyUI in API format")
    return {str(key): _node(path, str(key), node) for key, node in document.items()}


def _document(path: Path) -> Any:
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise InputError(
                f"{path} has {size} bytes",
                f"a workflow of at most {LARGEST} bytes",
                "name the workflow itself; a picture or a model is no workflow",
            )
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}", "a readable file", "correct its path"
        ) from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not text", _API, "name the JSON file of the workflow") from None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InputError(
            f"{path} is not JSON: {reason}", _API, "export the workflow from ComfyUI again"
        ) from None


def locked_names(path: Path) -> dict[str, frozenset[str]]:
    """The file names of a models lock, by folder. InputError where the file is none."""
    import yaml  # only here: the other commands need no PyYAML

    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))["files"].values()
        named = [(entry["folder"], entry["name"]) for entry in entries]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is no models lock: {printable(str(error), 160)}",
            "files with folder and name, as comfyui/models.lock.yml has them",
            "name the models lock with --lock",
        ) from None
    return {folder: frozenset(name for place, name in named if place == folder) for folder, _ in named}


def _node(path: Path, key: str, node: Any) -> dict[str, Any]:
    if not isinstance(node, dict):
        raise InputError(
            f"node {key} of {path} is no object", _API, "correct that node, or export the workflow again"
        )
    if not isinstance(node.get("class_type"), str) or not node["class_type"]:
        raise InputError(
            f"node {key} of {path} has no class_type",
            _API,
            "name the node's class, or export the workflow again",
        )
    if not isinstance(node.get("inputs", {}), dict):
        raise InputError(f"the inputs of node {key} of {path} are no object", _API, "correct that node")
    return {**node, "inputs": dict(node.get("inputs", {}))}
