"""The last words of a check: what a deployment would change, and what cannot be known before it."""

from __future__ import annotations

from typing import Any

from ansible import context  # type: ignore[attr-defined]
from ansible.plugins.callback import CallbackBase  # type: ignore[attr-defined]

DOCUMENTATION = r"""
name: foreseen
type: aggregate
short_description: At the end of a check, what would change and what could not be foreseen
description:
  - Silent unless Ansible runs with C(--check).
  - A task counts as not foreseen when a condition that asks for check mode left it out, when its module did so
    itself, or when C(end_role) ended its role.
"""

_ASKED = "ansible_check_mode"


def left_out_by_check(result: dict[str, Any], conditions: list[Any]) -> bool:
    """Whether check mode is why a task was skipped. `conditions`: its `when`, for a result that does not say."""
    if "false_condition" in result:
        return _ASKED in str(result["false_condition"])
    if "check mode" in str(result.get("msg", "")):
        return True
    # A censored result keeps its reason to itself; where every condition asks, it was this one.
    return "censored" in result and bool(conditions) and all(_ASKED in str(one) for one in conditions)


def report(changes: list[tuple[str, str]], unforeseen: list[tuple[str, str]]) -> list[str]:
    """The lines to print, from pairs of host and task."""
    lines = []
    if changes:
        lines += ["CHECK: nothing was changed. A deployment would change:", *_by_host(changes)]
    else:
        lines += ["CHECK: nothing was changed, and nothing that can be foreseen would be."]
    if unforeseen:
        lines += ["What these would do cannot be foreseen by a check:", *_by_host(unforeseen)]
    return lines


def _by_host(pairs: list[tuple[str, str]]) -> list[str]:
    hosts = dict.fromkeys(host for host, _ in pairs)
    lines = []
    for host in hosts:
        lines.append(f"  {host}")
        lines += [f"    {name}" for name in dict.fromkeys(name for whose, name in pairs if whose == host)]
    return lines


class CallbackModule(CallbackBase):  # type: ignore[misc]  # ansible ships no types
    """Ansible's own events, gathered into two lists."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "foreseen"

    def __init__(self) -> None:
        super().__init__()
        self.changes: list[tuple[str, str]] = []
        self.unforeseen: list[tuple[str, str]] = []
        self._hosts = ""
        # Name of an `end_role` whose condition may yet turn out false.
        self._ending: str | None = None

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._settle()
        self._hosts = ", ".join(play.hosts)

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        self._settle()
        if task.action in ("meta", "ansible.builtin.meta") and task._get_meta() == "end_role":
            self._ending = f"{task.get_name()}, nor what comes after it in this role"

    def v2_runner_on_ok(self, result: Any) -> None:
        if result.result.get("changed"):
            self.changes.append((result.host.get_name(), result.task.get_name()))

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._ending = None
        if left_out_by_check(result.result, result.task.when):
            self.unforeseen.append((result.host.get_name(), result.task.get_name()))

    def v2_runner_item_on_skipped(self, result: Any) -> None:
        self.v2_runner_on_skipped(result)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._settle()
        if context.CLIARGS.get("check"):
            for line in report(self.changes, self.unforeseen):
                self._display.display(line)

    def _settle(self) -> None:
        if self._ending:
            self.unforeseen.append((self._hosts, self._ending))
        self._ending = None
