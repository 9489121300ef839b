"""Writes down which tasks and handlers of the roles really ran, for tests/molecule/executed.py to count."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase  # type: ignore[attr-defined]

DOCUMENTATION = r"""
name: executed
type: aggregate
short_description: One JSON line per task of a role that was executed
description:
  - Silent unless COMFYSTACK_EXECUTED names the file to append to.
  - A skipped task is not executed, nor is one that only a check went through; a task that runs for real during
    a check (check_mode off) is, and so is a meta task, which knows no difference.
"""

_META = ("meta", "ansible.builtin.meta")


class CallbackModule(CallbackBase):  # type: ignore[misc]  # ansible ships no types
    """Ansible's own events, as lines of a file."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "executed"

    def __init__(self) -> None:
        super().__init__()
        self._file = os.environ.get("COMFYSTACK_EXECUTED", "")
        # A meta task is announced, and taken back when its condition turns out false.
        self._meta: Any = None

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._settle()

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        self._settle()
        if task.action in _META:
            self._meta = task

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        self._settle()

    def v2_runner_on_ok(self, result: Any) -> None:
        if not result.task.check_mode:
            self._write(result.task)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self.v2_runner_on_ok(result)

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._meta = None

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._settle()

    def _settle(self) -> None:
        if self._meta is not None:
            self._write(self._meta)
        self._meta = None

    def _write(self, task: Any) -> None:
        if not self._file or task._role is None:
            return
        path, _, line = task.get_path().rpartition(":")
        # Ansible is told of roles by different ways round; a line of the file is one write, so that runs can share it.
        words = {"file": str(Path(path).resolve()), "line": int(line), "name": task.name}
        with Path(self._file).open("a") as file:
            file.write(json.dumps(words) + "\n")
