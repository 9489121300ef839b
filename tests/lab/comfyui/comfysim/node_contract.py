"""The node contract: which classes exist, what they take and return, and which lists come from folders.

The data is `/object_info` of a real 0.33.0 server. Lists of files in it are empty; `lists` says which folder
fills each, so that a model file counts as present only when it stands in the models folder.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .folders import Folders, ModelFolder

NodeInfo = dict[str, Any]
CORE_FILE = Path(__file__).parent / "data" / "node_contract.json"

# What the recorded data leaves out because it is the same for every class; the two generations differ.
_COMMON_OLD: NodeInfo = {
    "is_input_list": False,
    "description": "",
    "search_aliases": [],
    "has_intermediate_output": False,
}
_COMMON_NEW: NodeInfo = {
    "is_input_list": False,
    "output_matchtypes": None,
    "description": "",
    "dev_only": False,
    "price_badge": None,
    "search_aliases": None,
    "essentials_category": None,
    "has_intermediate_output": False,
}


@dataclass
class NodeContract:
    folders: Folders
    classes: dict[str, NodeInfo] = field(default_factory=dict)
    lists: dict[str, dict[str, Any]] = field(default_factory=dict)
    not_carried: frozenset[str] = frozenset()

    def load_core(self) -> None:
        data = json.loads(CORE_FILE.read_text(encoding="utf-8"))
        self.classes.update(data["classes"])
        self.lists.update(data["lists"])
        self.not_carried = frozenset(data["not_carried"])

    def load_pack(self, data: dict[str, Any]) -> None:
        """Adds a custom node pack's classes, lists and folder types. Core classes cannot be replaced."""
        for kind, folder in data.get("folders", {}).items():
            like = self.folders.by_type[folder["like"]]
            self.folders.by_type[kind] = ModelFolder(like.paths, frozenset(folder["extensions"]))
        for name, info in data["classes"].items():
            self.classes.setdefault(name, info)
        self.lists.update(data.get("lists", {}))

    def inputs(self, class_type: str) -> dict[str, tuple[str, Any, dict[str, Any]]]:
        """name -> (required or optional, type, options), in the node's own order, lists filled in."""
        info = self.classes[class_type]
        found: dict[str, tuple[str, Any, dict[str, Any]]] = {}
        for category in ("required", "optional"):
            specs = info["input"].get(category, {})
            for name in info["input_order"].get(category, specs):
                spec = specs[name]
                options = dict(spec[1]) if len(spec) > 1 else {}
                found[name] = (category, *self._filled(class_type, name, spec[0], options))
        return found

    def outputs(self, class_type: str) -> tuple[Any, ...]:
        return tuple(self.classes[class_type]["output"])

    def is_output_node(self, class_type: str) -> bool:
        return bool(self.classes[class_type]["output_node"])

    def describe(self, class_type: str) -> NodeInfo:
        """One entry of /object_info."""
        info = self.classes[class_type]
        common = _COMMON_NEW if "api_node" in info else _COMMON_OLD
        described = copy.deepcopy({**common, **info})
        if common is _COMMON_NEW:
            described["output_tooltips"] = [None] * len(info["output"])
        for name, (category, kind, options) in self.inputs(class_type).items():
            spec = described["input"][category][name]
            spec[0] = kind
            if len(spec) > 1:
                spec[1] = options
        return described

    def _filled(
        self, class_type: str, name: str, kind: Any, options: dict[str, Any]
    ) -> tuple[Any, dict[str, Any]]:
        source = self.lists.get(f"{class_type}.{name}")
        if source is None:
            return kind, options
        names = self._names(source)
        if kind == "COMBO":
            return kind, {**options, "options": names}
        return names, options

    def _names(self, source: dict[str, Any]) -> list[str]:
        if "input" in source:
            return self.folders.input_files(source["input"])
        kinds: list[str] = source["folders"]
        names = self.folders.listing(kinds[0])
        if len(kinds) > 1:
            names = sorted(name for kind in kinds for name in self.folders.listing(kind))
        return (names or list(source.get("if_empty", []))) + list(source.get("also", []))
