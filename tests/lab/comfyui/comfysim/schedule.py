"""In which order the nodes of a graph run: only what the outputs need, and outputs as early as possible."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .result_cache import is_link


class Schedule:
    """Nodes still to run. A cached node is not run and needs nothing above it."""

    def __init__(
        self,
        graph: dict[str, Any],
        outputs: Iterable[str],
        is_cached: Callable[[str], bool],
        is_output: Callable[[str], bool],
    ) -> None:
        self._is_output = is_output
        self._needs: dict[str, set[str]] = {}
        todo = list(outputs)
        while todo:
            node_id = todo.pop()
            if node_id in self._needs:
                continue
            sources = [value[0] for value in graph[node_id]["inputs"].values() if is_link(value)]
            needed = [source for source in sources if not is_cached(source)]
            self._needs[node_id] = set(needed)
            # A node's last input is looked at first: among nodes that are equally ready, the real server
            # runs the one it met first on this walk.
            todo += needed

    def __bool__(self) -> bool:
        return bool(self._needs)

    def next(self) -> str:
        """The node to run now: an output that is ready, else a node one or two steps above an output."""
        ready = [node_id for node_id, needs in self._needs.items() if not needs]
        for node_id in ready:
            if self._is_output(node_id):
                return node_id
        for distance in (1, 2):
            for node_id in ready:
                if any(self._is_output(below) for below in self._below(node_id, distance)):
                    return node_id
        return ready[0]

    def done(self, node_id: str) -> None:
        del self._needs[node_id]
        for needs in self._needs.values():
            needs.discard(node_id)

    def _below(self, node_id: str, distance: int) -> set[str]:
        level = {node_id}
        for _ in range(distance):
            level = {other for other, needs in self._needs.items() if needs & level}
        return level
