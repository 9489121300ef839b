"""What each of our PowerShell scripts does to the machine, told in Python.

A model is correct for one text of its script only: scripts.py ties the two together.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, field
from pathlib import PureWindowsPath
from typing import TYPE_CHECKING, Any

from .environment import variables

if TYPE_CHECKING:
    from .modules.contract import Machine


class ScriptError(Exception):
    """The script throws; the text is what Ansible's user sees in error[0]."""


@dataclass
class ScriptRun:
    """One run, with the fields of PowerShell's `$Ansible` that our scripts set."""

    machine: Machine
    changed: bool = False
    result: dict[str, Any] = field(default_factory=dict)
    difference: dict[str, Any] = field(default_factory=dict)


def remove_leftover(run: ScriptRun, parameters: dict[str, Any]) -> None:
    for name in ("Prefix", "PrefixUnlessEmpty"):
        if not re.fullmatch(r"[A-Za-z0-9.-]+", parameters[name]):
            raise ScriptError(
                f"Cannot validate argument on parameter '{name}': {parameters[name]!r} does not match the pattern."
            )
    ours, ansibles = parameters["Prefix"].lower(), parameters["PrefixUnlessEmpty"].lower()
    temp = run.machine.path("%TEMP%")
    shown = PureWindowsPath(variables(run.machine.user)["TEMP"])
    folders = sorted(path for path in temp.iterdir() if path.is_dir()) if temp.is_dir() else []
    left = [
        path
        for path in folders
        if (
            any(path.iterdir())
            if path.name.lower().startswith(ansibles)
            else path.name.lower().startswith(ours)
        )
    ]
    removed = [str(shown / path.name) for path in left]
    if not run.machine.check:
        for path in left:
            shutil.rmtree(path)
    run.changed = bool(removed)
    run.difference = {"before": {"folders": removed}, "after": {"folders": []}}
    run.result = {"removed": removed}
