"""Results of earlier runs, found again by what a node would compute.

A node's key covers its class, its constants and the keys of everything above it; a loaded file counts with
its bytes. A node whose key is known is not executed again: it is `execution_cached`, and an output node
repeats the file names of its first run (even if somebody has deleted those files since, as on a real server).
"""

from __future__ import annotations

import argparse
import hashlib
import random
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .folders import Folders
from .node_contract import NodeContract
from .values import fingerprint, weight

# The real cache gives results up when memory runs short; here a fixed budget stands for that.
BUDGET_BYTES = 768 * 1024 * 1024

_READS_FILE = {"LoadImage": "image", "LoadImageMask": "image", "LoadImageOutput": "image"}
# Says of itself that its result is another one each time.
_NEVER_THE_SAME = frozenset({"SaveImageWebsocket"})


@dataclass
class Entry:
    outputs: tuple[Any, ...]
    ui: dict[str, list[Any]] | None

    def weight(self) -> int:
        return sum(weight(value) for value in self.outputs)


class ResultCache:
    def __init__(self, options: argparse.Namespace) -> None:
        self._none: bool = options.cache_none
        self._classic: bool = options.cache_classic
        self._most: int | None = options.cache_lru or None
        self._entries: OrderedDict[str, Entry] = OrderedDict()

    def get(self, key: str) -> Entry | None:
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    def put(self, key: str, entry: Entry) -> None:
        if not self._none:
            self._entries[key] = entry
            self._entries.move_to_end(key)

    def start_run(self, keys: Iterable[str]) -> None:
        """Makes room before a run with these keys; --cache-classic keeps nothing else."""
        wanted = set(keys)
        if self._classic:
            for key in [key for key in self._entries if key not in wanted]:
                del self._entries[key]
        while self._entries and self._too_full():
            self._entries.popitem(last=False)

    def clear(self) -> None:
        self._entries.clear()

    def _too_full(self) -> bool:
        if self._most is not None and len(self._entries) > self._most:
            return True
        return sum(entry.weight() for entry in self._entries.values()) > BUDGET_BYTES


def keys_of(graph: dict[str, Any], contract: NodeContract, folders: Folders) -> dict[str, str]:
    """The key of every node of a graph."""
    keys: dict[str, str] = {}

    def key(node_id: str, path: tuple[str, ...] = ()) -> str:
        if node_id in keys:
            return keys[node_id]
        node = graph[node_id]
        class_type = node["class_type"]
        known = contract.inputs(class_type)
        parts: list[Any] = [class_type]
        for name, value in sorted(node["inputs"].items()):
            if name not in known:
                continue
            if is_link(value) and value[0] in graph and value[0] not in path:
                parts.append([name, key(value[0], (*path, node_id)), value[1]])
            else:
                parts.append([name, value])
        if class_type in _READS_FILE:
            parts.append(_file_digest(folders, node["inputs"].get(_READS_FILE[class_type])))
        if class_type in _NEVER_THE_SAME:
            parts.append(random.random())  # noqa: S311 - not a secret
        keys[node_id] = fingerprint(*parts)
        return keys[node_id]

    for node_id in graph:
        try:
            key(node_id)
        except (KeyError, TypeError, AttributeError):
            # A broken node that no valid output needs: it is in the graph but never runs, and never hits.
            keys[node_id] = f"broken/{node_id}/{random.random()}"  # noqa: S311 - not a secret
    return keys


def is_link(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and type(value[1]) is int


def _file_digest(folders: Folders, name: Any) -> str:
    try:
        return hashlib.sha256(folders.annotated_file(name).read_bytes()).hexdigest()
    except (OSError, ValueError, AttributeError) as error:
        return f"unreadable: {error}"
