"""win_command: a program of the machine, run as Task Scheduler would run it; one that is not modelled is an error."""

from __future__ import annotations

from pathlib import PureWindowsPath

from .. import wacs as wacs  # registers its program
from ..scheduler import PROGRAMS, Launch
from .contract import Machine, Module, ModuleFailure, NotModelled, Option, Params, Result


def win_command(machine: Machine, params: Params) -> Result:
    if not params["argv"]:
        raise NotModelled("win_command without argv")
    words = [str(word) for word in params["argv"]]
    shown = " ".join(f'"{word}"' if " " in word or not word else word for word in words)
    if machine.check:
        # The real module does not know check mode, and ansible-core skips it for that.
        return {"changed": False, "skipped": True, "msg": "remote module does not support check mode"}
    if not machine.path(words[0]).is_file():
        raise ModuleFailure(
            f"Failed to run: '{shown}': Could not locate the following executable {words[0]}", cmd=shown, rc=2
        )
    model = PROGRAMS.get(PureWindowsPath(words[0]).name.lower())
    if model is None:
        raise NotModelled(f"the program {words[0]!r}")
    ran = model(Launch(machine.store, machine.user, words[1:], words[0]))
    result: Result = {"changed": True, "cmd": shown, "rc": ran.code, "stdout": ran.said, "stderr": ""}
    if ran.code:
        raise ModuleFailure("non-zero return code", **result)
    return result


MODULES = {
    "ansible.windows.win_command": Module(win_command, {"argv": Option("list")}, lasting=True),
}
