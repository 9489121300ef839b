"""The worker processes (w3wp.exe) of the application pools: when one starts, and what ends with it.

Sources: Microsoft's pages on <applicationPools>, <processModel> and <periodicRestart>. No client of a real IIS is
told any of this; here each answer says what its pool should not have done, because nothing else would show it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ..applicationhost import POOL_SCHEMA, seconds
from ..state import Site, State

clock: Callable[[], float] = time.monotonic
# processModel/@shutdownTimeLimit: what a recycled process still has for its open requests, WebSockets among them.
SHUTDOWN_SECONDS = 90


@dataclass
class _Process:
    started: float
    used: float
    requests: int = 0


@dataclass(frozen=True)
class Work:
    """One request in its process: `remarks` for whoever reads the answer, `left` seconds until it is cut off."""

    remarks: str
    left: float | None


class Workers:
    """The processes of one machine. A boot ends them all."""

    def __init__(self) -> None:
        self._processes: dict[str, _Process] = {}

    @contextmanager
    def serving(self, state: State, site: Site) -> Iterator[Work]:
        """One request, from its arrival to its end."""
        process, work = self._admit(state, site)
        process.requests += 1
        try:
            yield work
        finally:
            process.requests -= 1
            process.used = clock()

    def _admit(self, state: State, site: Site) -> tuple[_Process, Work]:
        name = site.application_pool.lower()
        pool = next(pool for key, pool in state.app_pools.items() if key.lower() == name)
        given = {key: pool.attributes.get(key, default) for key, (_, default) in POOL_SCHEMA.items()}
        idle = seconds(given["processModel.idleTimeout"])
        restart = seconds(given["recycling.periodicRestart.time"])
        now, process = clock(), self._processes.get(name)
        remarks = []
        if process is None and given["startMode"] != "AlwaysRunning":
            remarks.append("started for this request")
        if process is not None and idle and not process.requests and now - process.used > idle:
            remarks.append(f"started for this request, after {idle} s without one")
            process = None
        if process is not None and restart and now - process.started > restart:
            # The next process is there before the old one goes: only what is still open notices.
            process = None
        if process is None:
            process = self._processes[name] = _Process(now, now)
        if given["managedRuntimeVersion"]:
            remarks.append(f".NET Framework {given['managedRuntimeVersion']} loaded")
        left = process.started + restart + SHUTDOWN_SECONDS - now if restart else None
        return process, Work("; ".join(remarks), left)
