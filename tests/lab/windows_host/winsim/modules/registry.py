"""win_regedit: values of the registry, which who reads them says in his own model."""

from __future__ import annotations

import re

from .contract import Machine, Module, ModuleFailure, Option, Params, Result


def win_regedit(machine: Machine, params: Params) -> Result:
    found = re.fullmatch(r"(?i)HKLM:\\\\?(.+)", params["path"])
    if not found:
        raise ModuleFailure(f"path: {params['path']} is not a valid registry path of a modelled hive (HKLM:)")
    key = found[1].rstrip("\\").lower()
    values = machine.state.registry.setdefault(key, {})
    name = next((known for known in values if known.lower() == params["name"].lower()), params["name"])
    try:
        wanted = [params["type"], int(params["data"])]
    except (TypeError, ValueError):
        raise ModuleFailure(f"could not convert the data {params['data']!r} to {params['type']}") from None
    changed = values.get(name) != wanted
    before = values.get(name)
    values[name] = wanted
    result: Result = {"changed": changed, "data_changed": changed, "data_type_changed": False}
    if machine.diff and changed:
        label = f"{params['path']}\\{name}"
        result["diff"] = {"before": {label: before and before[1]}, "after": {label: wanted[1]}}
    return result


MODULES = {
    "ansible.windows.win_regedit": Module(
        win_regedit,
        {
            "path": Option(required=True, aliases=("key",)),
            "name": Option(required=True, aliases=("entry", "value")),
            "data": Option("raw", required=True),
            "type": Option(
                default="string",
                choices=("none", "binary", "dword", "expandstring", "multistring", "string", "qword"),
                modelled=("dword",),
                aliases=("datatype",),
            ),
            "state": Option(default="present", choices=("absent", "present"), modelled=("present",)),
        },
    ),
}
