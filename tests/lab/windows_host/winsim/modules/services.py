"""win_service and win_service_info: the few services the roles care about."""

from __future__ import annotations

from typing import Any

from .contract import Machine, Module, ModuleFailure, Option, Params, Result


def _find(machine: Machine, name: str) -> tuple[str, dict[str, Any]] | None:
    return next(((n, s) for n, s in machine.state.services.items() if n.lower() == name.lower()), None)


def win_service(machine: Machine, params: Params) -> Result:
    found = _find(machine, params["name"])
    if found is None:
        raise ModuleFailure(
            f"Service '{params['name']}' is not installed, need to set 'path' to create a new service"
        )
    name, service = found
    before = dict(service)
    if params["start_mode"]:
        service["start_mode"] = params["start_mode"]
    if params["state"] == "started" and service["start_mode"] == "disabled" and service["state"] != "started":
        raise ModuleFailure(f"Service '{service['display_name']} ({name})' cannot be started: it is disabled")
    if params["state"] in ("started", "restarted") and service.get("fault"):
        service["state"] = "stopped"
        raise ModuleFailure(
            f"Service '{service['display_name']} ({name})' cannot be started due to the following error: "
            f"{service['fault']}"
        )
    if params["state"] in ("started", "stopped"):
        service["state"] = params["state"]
    result: Result = {
        "changed": before != service or params["state"] == "restarted",
        "exists": True,
        "name": name,
        "display_name": service["display_name"],
        "start_mode": service["start_mode"],
        "state": "running" if service["state"] == "started" else "stopped",
    }
    if machine.diff:
        result["diff"] = {"before": before, "after": dict(service)}
    return result


def win_service_info(machine: Machine, params: Params) -> Result:
    found = [_find(machine, params["name"])] if params["name"] else list(machine.state.services.items())
    services = [
        {"name": entry[0], **{key: entry[1][key] for key in ("display_name", "state", "start_mode")}}
        for entry in found
        if entry
    ]
    return {"changed": False, "exists": bool(services), "services": services}


MODULES = {
    "ansible.windows.win_service": Module(
        win_service,
        {
            "name": Option(required=True),
            "state": Option(choices=("started", "stopped", "restarted")),
            "start_mode": Option(choices=("auto", "delayed", "disabled", "manual")),
        },
    ),
    "ansible.windows.win_service_info": Module(win_service_info, {"name": Option()}),
}
