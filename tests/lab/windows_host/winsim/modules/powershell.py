"""win_powershell: a script is known by the SHA-256 of its text, and by nothing else."""

from __future__ import annotations

import hashlib
from typing import Any

from ..scripts import SCRIPTS, ScriptError, ScriptRun
from .contract import Machine, Module, ModuleFailure, Option, Params, Result


def _error(message: str) -> dict[str, Any]:
    return {
        "output": message,
        "error_details": None,
        "exception": {"message": message, "type": "System.Management.Automation.RuntimeException"},
        "fully_qualified_error_id": message,
    }


def win_powershell(machine: Machine, params: Params) -> Result:
    text = params["script"]
    if not text:
        raise ModuleFailure("one of the following is required: path, script")
    digest = hashlib.sha256(text.encode()).hexdigest()
    script = SCRIPTS.get(digest)
    if script is None:
        first = next((line.strip("# ") for line in text.splitlines() if line.strip("#< >\t")), "")
        raise ModuleFailure(
            f"The Windows simulator does not know the script with SHA-256 {digest} "
            f"(it begins {first[:80]!r}). "
            "If it is an edited file of ours: read its model in winsim/script_models.py again, correct it, "
            "and then put the new sum into winsim/scripts.py."
        )
    given: dict[str, Any] = params["parameters"] or {}
    names = {name.lower(): name for name in script.parameters}
    unknown = [name for name in given if name.lower() not in names]
    if unknown:
        return _failed(f"A parameter cannot be found that matches parameter name '{unknown[0]}'.")
    missing = sorted(set(script.mandatory) - {names[name.lower()] for name in given})
    if missing:
        return _failed(
            f"Cannot process command because of missing mandatory parameters: {' '.join(missing)}."
        )
    run = ScriptRun(machine)
    try:
        script.run(run, {names[name.lower()]: value for name, value in given.items()})
    except ScriptError as error:
        return _failed(str(error))
    result = {**_SILENT, "changed": run.changed, "failed": False, "result": run.result}
    if machine.diff and run.difference:
        result["diff"] = run.difference
    return result


_SILENT: dict[str, Any] = {
    "output": [],
    "error": [],
    "warning": [],
    "verbose": [],
    "debug": [],
    "information": [],
    "host_out": "",
    "host_err": "",
}


def _failed(message: str) -> Result:
    """What an uncaught `throw` gives: the text stands in error[0]. Our scripts throw before they change."""
    return {**_SILENT, "changed": False, "failed": True, "result": {}, "error": [_error(message)]}


MODULES = {
    "ansible.windows.win_powershell": Module(
        win_powershell,
        {
            "script": Option(),
            "parameters": Option("dict"),
            "error_action": Option(
                default="continue", choices=("silently_continue", "continue", "stop"), modelled=("stop",)
            ),
            "depth": Option("int", 2),
        },
    )
}
