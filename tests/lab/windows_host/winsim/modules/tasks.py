"""community.windows.win_scheduled_task and its _stat: what is registered with Task Scheduler."""

from __future__ import annotations

import re
from typing import Any

from .. import accounts
from ..scheduler import seconds
from .contract import Machine, Module, ModuleFailure, NotModelled, Option, Params, Result

_SERVICE_ACCOUNTS = {
    "system": "SYSTEM",
    "local service": "LOCAL SERVICE",
    "network service": "NETWORK SERVICE",
}
_ACTION_KEYS = {"path", "arguments", "working_directory"}
_TRIGGER_KEYS = {
    "boot": {"type", "delay", "enabled"},
    "registration": {"type", "delay", "enabled"},
    "time": {"type", "start_boundary", "repetition", "enabled"},
    "daily": {"type", "start_boundary", "repetition", "random_delay", "enabled"},
}
_SETTINGS: dict[str, Any] = {
    "execution_time_limit": "PT72H",
    "multiple_instances": 2,
    "restart_count": 0,
    "restart_interval": "",
    "disallow_start_if_on_batteries": True,
    "stop_if_going_on_batteries": True,
    "start_when_available": False,
}


def _duration(key: str, value: Any) -> str:
    try:
        seconds(str(value))
    except ValueError:
        raise ModuleFailure(
            f"trigger option '{key}' must be in the XML duration format but was '{value}'"
        ) from None
    return str(value)


def _trigger(raw: dict[str, Any]) -> dict[str, Any]:
    kind = raw.get("type")
    if kind not in _TRIGGER_KEYS:
        raise NotModelled(f"a scheduled task with the trigger {kind!r}")
    unknown = set(raw) - _TRIGGER_KEYS[kind]
    if unknown:
        raise NotModelled(f"the trigger {kind} with {', '.join(sorted(unknown))}")
    if kind in ("time", "daily"):
        boundary = str(raw.get("start_boundary") or "")
        if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", boundary):
            raise ModuleFailure(
                "trigger option 'start_boundary' must be in the format 'YYYY-MM-DDThh:mm:ss' format but was "
                f"'{boundary}'"
            )
    for key in ("delay", "random_delay"):
        if raw.get(key):
            _duration(key, raw[key])
    for key in ("interval", "duration"):
        if (raw.get("repetition") or {}).get(key):
            _duration(key, raw["repetition"][key])
    return dict(raw)


def _action(raw: dict[str, Any]) -> dict[str, Any]:
    if not raw.get("path"):
        raise ModuleFailure("action entry must contain the key 'path'")
    unknown = set(raw) - _ACTION_KEYS
    if unknown:
        raise NotModelled(f"an action of a scheduled task with {', '.join(sorted(unknown))}")
    return dict(raw)


def _principal(machine: Machine, params: Params, old: dict[str, Any], *, other: bool) -> dict[str, Any]:
    """Account and logon, with what is kept of the password; refuses an account that cannot log on.

    A task that is made anew because something `other` has changed gets the password as well.
    """
    username = params["username"] or old.get("username")
    logon_type = params["logon_type"] or old.get("logon_type")
    if username is None:
        raise NotModelled("a scheduled task without a username (the logged-on user's own)")
    short = username.rpartition("\\")[2]
    if short.lower() in _SERVICE_ACCOUNTS:
        if params["password"]:
            raise NotModelled("a scheduled task of a service account with a password")
        return {"username": _SERVICE_ACCOUNTS[short.lower()], "logon_type": "service_account", "password": ""}
    if logon_type != "password":
        raise NotModelled(f"a scheduled task with logon_type={logon_type!r}: it would not run at a boot")
    kept = old.get("password", "")
    other = other or old.get("username") != short
    if params["password"] and (other or params["update_password"]):
        kept = accounts.fingerprint(params["password"])
    account = accounts.find(machine.store, machine.state, short)
    if machine.store.accounts and (account is None or account.password != kept):
        raise ModuleFailure(
            f"failed to {'modify' if old else 'register new'} {'scheduled task' if old else 'task definition'}: "
            "The user name or password is incorrect. (Exception from HRESULT: 0x8007052E)"
        )
    return {"username": short, "logon_type": "password", "password": kept}


def _full_path(params: Params) -> str:
    return "\\" + "\\".join(part for part in (*params["path"].split("\\"), params["name"]) if part)


def win_scheduled_task(machine: Machine, params: Params) -> Result:
    if re.search(r'[/:*?"<>|\\]', params["name"]):
        raise ModuleFailure(f"Invalid task name '{params['name']}'.")
    tasks = machine.state.scheduled_tasks
    path = next((p for p in tasks if p.lower() == _full_path(params).lower()), _full_path(params))
    old = tasks.get(path)
    if params["state"] == "absent":
        tasks.pop(path, None)
        return {"changed": old is not None}
    if old is None and not params["actions"]:
        raise ModuleFailure(
            "cannot create a task with no actions, set at least one action with a path to an executable"
        )
    task = {
        "actions": [_action(raw) for raw in params["actions"]]
        if params["actions"]
        else (old or {})["actions"],
        "triggers": [_trigger(raw) for raw in params["triggers"]]
        if params["triggers"] is not None
        else (old or {}).get("triggers", []),
        "run_level": params["run_level"] or (old or {}).get("run_level", "limited"),
        "enabled": (old or {}).get("enabled", True) if params["enabled"] is None else params["enabled"],
        "description": (old or {}).get("description", "")
        if params["description"] is None
        else params["description"],
        "settings": {
            **_SETTINGS,
            **((old or {}).get("settings", {})),
            **{key: params[key] for key in _SETTINGS if params[key] is not None},
        },
    }
    other = any((old or {}).get(key) != value for key, value in task.items())
    task |= _principal(machine, params, old or {}, other=other)
    # The real module cannot compare passwords: told to update one, it always says "changed".
    changed = old != task or bool(params["password"] and params["update_password"])
    tasks[path] = task
    result: Result = {"changed": changed}
    if machine.diff:
        hidden = [{k: v for k, v in (one or {}).items() if k != "password"} for one in (old, task)]
        result["diff"] = {"before": hidden[0], "after": hidden[1]}
    return result


def win_scheduled_task_stat(machine: Machine, params: Params) -> Result:
    folder = "\\" + "\\".join(part for part in params["path"].split("\\") if part)
    prefix = folder.rstrip("\\").lower() + "\\"
    here = [p for p in machine.state.scheduled_tasks if p.lower().startswith(prefix)]
    result: Result = {"changed": False, "folder_exists": bool(here) or folder == "\\"}
    if params["name"] is None:
        return {
            **result,
            "folder_task_count": len(here),
            "folder_task_names": [p[len(prefix) :] for p in here],
        }
    wanted = prefix + params["name"].lower()
    path = next((p for p in here if p.lower() == wanted), None)
    if path is None:
        return {**result, "task_exists": False}
    scheduler = machine.store.scheduler
    running = scheduler is not None and path in scheduler.running
    return {
        **result,
        "task_exists": True,
        "state": {
            "status": "TASK_STATE_RUNNING" if running else "TASK_STATE_READY",
            "last_task_result": 0x41303 if scheduler is None else scheduler.results.get(path, 0x41303),
        },
    }


MODULES = {
    "community.windows.win_scheduled_task": Module(
        win_scheduled_task,
        {
            "name": Option(required=True),
            "path": Option(default="\\"),
            "state": Option(default="present", choices=("absent", "present")),
            "actions": Option("list"),
            "triggers": Option("list"),
            "username": Option(aliases=("user",)),
            "password": Option(),
            "logon_type": Option(
                choices=(
                    "none",
                    "password",
                    "s4u",
                    "interactive_token",
                    "group",
                    "service_account",
                    "token_or_password",
                )
            ),
            "run_level": Option(choices=("limited", "highest"), aliases=("runlevel",)),
            "update_password": Option("bool", True),
            "enabled": Option("bool"),
            "description": Option(),
            "execution_time_limit": Option(),
            "multiple_instances": Option("int"),
            "restart_count": Option("int"),
            "restart_interval": Option(),
            "disallow_start_if_on_batteries": Option("bool"),
            "stop_if_going_on_batteries": Option("bool"),
            "start_when_available": Option("bool"),
        },
    ),
    "community.windows.win_scheduled_task_stat": Module(
        win_scheduled_task_stat, {"name": Option(), "path": Option(default="\\")}
    ),
}
