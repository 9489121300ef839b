"""Task Scheduler: runs what win_scheduled_task registered, at a boot, on registration and at its times.

Every start of the simulator is a boot of the machine. What ran when and how it ended is volatile, and stands in the
log; a task that lasts (it holds a WSL guest) is running until the machine goes down.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import PureWindowsPath
from typing import Any

from . import accounts
from .state import Store

log = logging.getLogger("winsim.tasks")

WIN32 = 0x80070000
FILE_NOT_FOUND = 0x80070002
_TICK_SECONDS = 0.5
_DAY = 86_400.0
_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")


@dataclass(frozen=True)
class Ran:
    """How a program ended and what it said; `lasting` means that it runs on and holds what it holds."""

    code: int
    lasting: bool = False
    said: str = ""


@dataclass(frozen=True)
class Launch:
    """A program as Task Scheduler starts it. `user` is "SYSTEM" for the service account; `path` is the program's."""

    store: Store
    user: str
    arguments: list[str]
    path: str = ""


# Windows brings these; the simulated drive does not hold them as files.
_OF_WINDOWS = ("powershell.exe", "wsl.exe")
# Name of the executable in lower case, without its folder -> what it does.
PROGRAMS: dict[str, Callable[[Launch], Ran]] = {}


def program(name: str) -> Callable[[Callable[[Launch], Ran]], Callable[[Launch], Ran]]:
    """Registers the model of an executable under its file name, such as "wsl.exe"."""

    def register(run: Callable[[Launch], Ran]) -> Callable[[Launch], Ran]:
        PROGRAMS[name.lower()] = run
        return run

    return register


def seconds(duration: str) -> float:
    """Seconds of an XML duration in days, hours, minutes and seconds. Raises ValueError."""
    found = _DURATION.fullmatch(duration)
    if not found or duration in ("P", "PT"):
        raise ValueError(f"not a duration: {duration!r}")
    days, hours, minutes, rest = (float(part or 0) for part in found.groups())
    return days * _DAY + hours * 3600 + minutes * 60 + rest


def split(line: str) -> list[str]:
    """The arguments of a Windows command line; double quotes hold one together."""
    return [bare or quoted for quoted, bare in re.findall(r'"([^"]*)"|(\S+)', line)]


def run_task(store: Store, path: str) -> Ran:
    """Run the registered task `path` once, whatever its triggers say."""
    state = store.read()
    task = state.scheduled_tasks[path]
    account = task["username"].rpartition("\\")[2]
    if task["logon_type"] == "password":
        refused = accounts.refusal(store, state, account, task["password"])
        if refused:
            # As an HRESULT: what Task Scheduler shows as the last result.
            log.error("task %s: %s (0x%08X)", path, refused[1], WIN32 | refused[0])
            return Ran(WIN32 | refused[0])
    result = Ran(0)
    for action in task["actions"]:
        executable = action["path"].strip('"')
        name = PureWindowsPath(executable).name.lower()
        model = PROGRAMS.get(name)
        if model is None:
            log.error("task %s: the Windows simulator does not model the program %r", path, action["path"])
            return Ran(FILE_NOT_FOUND)
        if name not in _OF_WINDOWS and not store.path(executable).is_file():
            log.error("task %s: the file %s does not exist", path, executable)
            return Ran(FILE_NOT_FOUND)
        result = model(Launch(store, account, split(action.get("arguments") or ""), executable))
        if result.said:
            log.info("task %s: %s", path, result.said)
        if result.code:
            break
    log.info("task %s: ended with 0x%X%s", path, result.code, ", runs on" if result.lasting else "")
    return result


class Scheduler:
    """The tasks of one boot. `begin()` fires the boot triggers; `tick()` whatever is due by then.

    `after` is called after each tick of `serve()`.
    """

    def __init__(
        self, store: Store, now: Callable[[], float] = time.time, after: Callable[[], None] = lambda: None
    ) -> None:
        self._store = store
        self._after = after
        self._now = now
        self._due: dict[str, float] = {}
        self._known: dict[str, Any] = {}
        self.running: set[str] = set()
        self.results: dict[str, int] = {}

    def begin(self) -> None:
        """The machine has started."""
        now = self._now()
        for path, task in self._store.read().scheduled_tasks.items():
            self._known[path] = task
            at = [now + delay for delay in _delays(task, "boot")]
            self._plan(path, task, at)

    def tick(self) -> None:
        """Run what is due; a task that was registered since the last tick is noticed."""
        now = self._now()
        tasks = self._store.read().scheduled_tasks
        for path, task in tasks.items():
            if self._known.get(path) != task:
                fresh = path not in self._known
                self._known[path] = task
                # A change of its settings fires the registration trigger as well.
                self._plan(path, task, [now + delay for delay in _delays(task, "registration")])
                log.info("task %s: %s", path, "registered" if fresh else "changed")
        for path in [path for path in self._known if path not in tasks]:
            del self._known[path]
            self._due.pop(path, None)
        for path in sorted(path for path, at in list(self._due.items()) if at <= now):
            task = tasks[path]
            del self._due[path]
            self._plan(path, task, [])
            if task["enabled"] and not (path in self.running and task["settings"]["multiple_instances"] == 2):
                self._run(path)

    def _run(self, path: str) -> None:
        try:
            ran = run_task(self._store, path)
        except Exception:  # a broken model must not end the scheduler; the log names it
            log.exception("task %s: its model broke", path)
            ran = Ran(1)
        self.results[path] = ran.code
        if ran.lasting:
            self.running.add(path)

    def start(self, path: str) -> None:
        """Start-ScheduledTask: with the next tick, whatever its triggers say."""
        self._due[path] = self._now()

    def end(self, path: str) -> None:
        """A lasting task has ended, because what it held is gone."""
        self.running.discard(path)

    def _plan(self, path: str, task: dict[str, Any], at: list[float]) -> None:
        now = self._now()
        at = at + [
            _next(trigger, now) for trigger in task["triggers"] if trigger["type"] in ("time", "daily")
        ]
        if at:
            self._due[path] = min([*at, self._due.get(path, min(at))])

    def serve(self, stop: threading.Event) -> None:
        """Tick until `stop`, after `begin()`."""
        while not stop.wait(_TICK_SECONDS):
            self.tick()
            self._after()


def _delays(task: dict[str, Any], kind: str) -> list[float]:
    return [seconds(t.get("delay") or "PT0S") for t in task["triggers"] if t["type"] == kind]


def _next(trigger: dict[str, Any], now: float) -> float:
    """When a trigger with a start and a repetition fires next, after `now`."""
    start = datetime.fromisoformat(trigger["start_boundary"]).timestamp()
    repetition = trigger.get("repetition") or {}
    every = seconds(repetition["interval"]) if repetition.get("interval") else _DAY
    if trigger["type"] == "time" and not repetition.get("interval"):
        return start if start > now else float("inf")
    return start if start > now else start + ((now - start) // every + 1) * every
