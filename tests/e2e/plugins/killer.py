"""Ends a deployment as a power cut would: at a chosen task, with SIGKILL, and everything that it runs with it.

DEPLOY_KILLED_AT: the task, as Ansible prints it ("role : name"), or a role, which means its first task.
DEPLOY_KILLED_AFTER: seconds that the task may run; 0 kills before it begins.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase  # type: ignore[attr-defined]

DOCUMENTATION = r"""
name: killer
type: aggregate
short_description: Kills the deployment that it runs in
description: For tests of interruption. Silent where DEPLOY_KILLED_AT is not set.
"""


def _descendants(pid: int) -> list[int]:
    """The processes below `pid`. Ansible's workers have sessions of their own, so no group holds them all."""
    found = []
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, tasks.read_text().split()):
            found += [child, *_descendants(child)]
    return found


def _kill() -> None:
    for pid in _descendants(os.getpid()):
        os.kill(pid, signal.SIGKILL)
    os.killpg(0, signal.SIGKILL)


class CallbackModule(CallbackBase):  # type: ignore[misc]  # ansible ships no types
    """Waits for its task in the plays that consist of roles; preflight asks the same roles earlier."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "killer"

    def __init__(self) -> None:
        super().__init__()
        self._armed = False
        self._waiting = False

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._armed = bool(play.get_roles())

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        place = os.environ.get("DEPLOY_KILLED_AT")
        name = task.get_name()
        if not self._armed or not place or place not in (name, name.partition(" : ")[0]):
            return
        self._armed = False
        self._display.display(f"killed at: {name}")
        # Ansible leaves that to its end, which never comes.
        sys.stdout.flush()
        seconds = float(os.environ.get("DEPLOY_KILLED_AFTER", "0"))
        if not seconds:
            _kill()
        timer = threading.Timer(seconds, _kill)
        timer.daemon = True
        timer.start()
        self._waiting = True

    def v2_playbook_on_stats(self, stats: Any) -> None:
        # The tasks that were left took less time than that.
        if self._waiting:
            _kill()
