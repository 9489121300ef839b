"""Which node classes there are, what they take and what they return: as recorded, or as a server says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

NodeInfo = Mapping[str, Any]


@dataclass(frozen=True)
class Input:
    """One input of a class. `choices` is None where any value of the type does, or where they are not known."""

    name: str
    required: bool
    type: str
    choices: tuple[str, ...] | None
    minimum: float | None
    maximum: float | None
    # The model folders that the choices come from; empty where they are no files.
    folders: tuple[str, ...]
    # Whether it names a picture that somebody uploads.
    uploaded: bool

    @property
    def is_value(self) -> bool:
        """Whether a plain value may stand there; what else there is must come through a link."""
        return self.type in ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")


@dataclass(frozen=True)
class Contract:
    """Every class by name. `source` says in words whose they are."""

    source: str
    classes: Mapping[str, NodeInfo]
    # Classes that exist, of which no more is known.
    only_named: frozenset[str]
    lists: Mapping[str, Mapping[str, Any]]
    # Whether the lists of files are those of a server.
    has_files: bool

    def inputs(self, class_type: str) -> dict[str, Input]:
        """The inputs of a known class, by name, in its own order."""
        return {one.name: one for one in _inputs(self, class_type)}

    def in_order(self, class_type: str) -> list[Input]:
        """The inputs of a known class as its own page lists them."""
        known = self.inputs(class_type)
        listed = self.classes[class_type].get("input_order") or self.classes[class_type]["input"]
        names = [name for category in ("required", "optional") for name in listed.get(category, ())]
        return [known[name] for name in names]

    def outputs(self, class_type: str) -> list[str]:
        """The types that a known class returns."""
        return [
            output if isinstance(output, str) else "COMBO" for output in self.classes[class_type]["output"]
        ]

    def module(self, class_type: str) -> str:
        """The custom node pack of a known class, or "" for one of ComfyUI's own."""
        module = str(self.classes[class_type].get("python_module", ""))
        return module.removeprefix("custom_nodes.") if module.startswith("custom_nodes.") else ""


def _inputs(contract: Contract, class_type: str) -> Iterator[Input]:
    for category, fields in contract.classes[class_type]["input"].items():
        if category == "hidden":
            continue
        for name, spec in fields.items():
            options = spec[1] if len(spec) > 1 and isinstance(spec[1], dict) else {}
            listed = spec[0] if isinstance(spec[0], list) else options.get("options")
            files = contract.lists.get(f"{class_type}.{name}")
            if files is not None and not contract.has_files:
                listed = None
            yield Input(
                name=name,
                required=category == "required",
                type="COMBO" if isinstance(spec[0], list) else str(spec[0]),
                choices=None if listed is None else tuple(map(str, listed)),
                minimum=options.get("min"),
                maximum=options.get("max"),
                folders=tuple(files.get("folders", ())) if files else (),
                uploaded=bool(files and "input" in files),
            )


def _data() -> Traversable:
    installed = resources.files("comfystack") / "node_contract"
    # In a checkout the contract stands with the simulator, which is held to it.
    return installed if installed.is_dir() else Path(__file__).parents[4] / "tests" / "lab" / "comfyui"


@cache
def recorded() -> Contract:
    """The contract of a ComfyUI 0.33.0 with the custom node packs of comfyui/sources.lock.yml."""
    core = json.loads((_data() / "comfysim" / "data" / "node_contract.json").read_text(encoding="utf-8"))
    classes, lists = dict(core["classes"]), dict(core["lists"])
    for pack in sorted(pack.name for pack in (_data() / "packs").iterdir()):
        data = json.loads((_data() / "packs" / pack / "simulated_nodes.json").read_text(encoding="utf-8"))
        classes |= data["classes"]
        lists |= data.get("lists", {})
    return Contract(
        source=f"ComfyUI {core['comfyui_version']} with the packs of comfyui/sources.lock.yml, as recorded",
        classes=classes,
        only_named=frozenset(core["not_carried"]),
        lists=lists,
        has_files=False,
    )


def of_server(object_info: Mapping[str, Any], url: str) -> Contract:
    """The contract that a server's GET /object_info gives."""
    return Contract(f"the server at {url}", object_info, frozenset(), recorded().lists, has_files=True)
