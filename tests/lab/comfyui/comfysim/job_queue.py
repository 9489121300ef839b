"""The queue, the running job and the history: all in memory, all gone when the process ends."""

from __future__ import annotations

import copy
import heapq
import threading
from collections.abc import Callable
from typing import Any

HISTORY_LIMIT = 10_000

# (number, prompt id, graph, extra data, outputs to execute)
Job = tuple[float, str, dict[str, Any], dict[str, Any], list[str]]


class JobQueue:
    """Jobs run one at a time, lowest number first. `changed` is called after every change."""

    def __init__(self, changed: Callable[[], None], interrupt: threading.Event) -> None:
        self._lock = threading.RLock()
        self._not_empty = threading.Condition(self._lock)
        self._pending: list[Job] = []
        self._running: dict[int, Job] = {}
        self._taken = 0
        self._changed = changed
        self._interrupt = interrupt
        self._flags: dict[str, bool] = {}
        self.history: dict[str, dict[str, Any]] = {}

    def put(self, job: Job) -> None:
        with self._lock:
            heapq.heappush(self._pending, job)
            self._changed()
            self._not_empty.notify()

    def take(self) -> tuple[int, Job] | None:
        """The next job and its ticket, waiting for one; None when only a flag was set."""
        with self._not_empty:
            while not self._pending:
                self._not_empty.wait()
                if self._flags and not self._pending:
                    return None
            job = heapq.heappop(self._pending)
            ticket = self._taken
            self._taken += 1
            self._running[ticket] = copy.deepcopy(job)
            self._changed()
            return ticket, job

    def finish(self, ticket: int, result: dict[str, Any], status: dict[str, Any]) -> None:
        with self._lock:
            job = self._running.pop(ticket)
            if len(self.history) > HISTORY_LIMIT:
                self.history.pop(next(iter(self.history)))
            self.history[job[1]] = {"prompt": job, "outputs": {}, "status": copy.deepcopy(status), **result}
            self._changed()

    def snapshot(self) -> tuple[list[Job], list[Job]]:
        """(running, pending)"""
        with self._lock:
            return list(self._running.values()), list(self._pending)

    def remaining(self) -> int:
        with self._lock:
            return len(self._pending) + len(self._running)

    def clear(self) -> None:
        with self._lock:
            self._pending = []
            self._changed()

    def delete(self, prompt_id: str) -> bool:
        """Takes a pending job out. It never reaches the history, so polling for it alone never ends."""
        with self._lock:
            kept = [job for job in self._pending if job[1] != prompt_id]
            if len(kept) == len(self._pending):
                return False
            self._pending = kept
            heapq.heapify(self._pending)
            self._changed()
            return True

    def interrupt_running(self, prompt_id: str) -> bool:
        """Interrupts the job if it is the running one; nothing can start in between."""
        with self._lock:
            if any(job[1] == prompt_id for job in self._running.values()):
                self._interrupt.set()
                return True
            return False

    def history_of(self, prompt_id: str) -> dict[str, Any]:
        with self._lock:
            return {prompt_id: self.history[prompt_id]} if prompt_id in self.history else {}

    def history_page(self, max_items: int | None, offset: int) -> dict[str, Any]:
        """`max_items` entries from `offset`; a negative offset means the newest ones."""
        with self._lock:
            if offset < 0:
                offset = max(0, len(self.history) - max_items) if max_items is not None else 0
            end = None if max_items is None else offset + max(1, max_items)
            return dict(list(self.history.items())[offset:end])

    def clear_history(self) -> None:
        with self._lock:
            self.history = {}

    def delete_history(self, prompt_id: str) -> None:
        with self._lock:
            self.history.pop(prompt_id, None)

    def set_flag(self, name: str) -> None:
        with self._lock:
            self._flags[name] = True
            self._not_empty.notify()

    def take_flags(self) -> dict[str, bool]:
        with self._lock:
            flags, self._flags = self._flags, {}
            return flags
