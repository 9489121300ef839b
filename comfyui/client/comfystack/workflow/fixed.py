"""A graph under repair."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeGuard

from ..events import Graph
from .contract import Contract

Link = list[Any]


@dataclass
class Fixed:
    """A graph under repair: what was changed, and what cannot be translated, in words."""

    graph: Graph
    contract: Contract
    changes: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)

    def changed(self, node: str, text: str) -> None:
        self.changes.append(f"node {node}: {text}")

    def refuse(self, node: str, reason: str) -> None:
        self.refusals.append(f"node {node} ({self.graph[node]['class_type']}): {reason}")

    def add(self, wanted: str, class_type: str, title: str, **inputs: Any) -> Link:
        """A new node, under the id wanted or one like it; returns the link to its first output."""
        name, number = wanted, 2
        while name in self.graph:
            name, number = f"{wanted}_{number}", number + 1
        self.graph[name] = {"class_type": class_type, "inputs": inputs, "_meta": {"title": title}}
        return [name, 0]

    def become(self, node: str, class_type: str, **inputs: Any) -> None:
        """Another class at the same id, so that links to it hold."""
        before = self.graph[node]["class_type"]
        self.graph[node] = {**self.graph[node], "class_type": class_type, "inputs": inputs}
        if before != class_type:
            self.changed(node, f"{before} becomes {class_type}")


def is_link(value: Any) -> TypeGuard[Link]:
    """Whether an input's value is a link, [node id, output number]."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[1], int)
