"""win_user, win_user_right and win_whoami: local accounts, and what one of them may do."""

from __future__ import annotations

from typing import Any

from .. import accounts
from ..machine import HOST_NAME
from .contract import Machine, Module, ModuleFailure, Option, Params, Result


def win_user(machine: Machine, params: Params) -> Result:
    name, state = params["name"], machine.state
    found = accounts.find(machine.store, state, name)
    if params["state"] == "query":
        return {"changed": False, **_shown(machine, name)}
    known = next((one for one in state.users if one.lower() == name.lower()), name)
    if found is not None and known not in state.users:
        raise ModuleFailure(f"The Windows simulator changes no account of its users file, and {name} is one")
    before = None if found is None else {**state.users[known], "groups": [*state.users[known]["groups"]]}
    user = state.users.setdefault(known, {"groups": [], "password": accounts.fingerprint("")})
    if params["password"] is not None:
        if len(params["password"]) < state.least_password:
            raise ModuleFailure(
                'Exception calling "SetPassword" with "1" argument(s): "The password does not meet the password '
                "policy requirements. Check the minimum password length, password complexity and password history "
                'requirements."'
            )
        user["password"] = accounts.fingerprint(params["password"])
    for key in ("password_never_expires", "description"):
        if params[key] is not None:
            user[key] = params[key]
    wanted = [*user["groups"], *(params["groups"] or [])]
    user["groups"] = sorted(set(wanted))
    # A new account is not there yet in check mode, and so has no SID.
    shown = _shown(machine, name) if before is not None or not machine.check else {"name": name}
    return {"changed": before != user, **shown, "state": "present"}


def _shown(machine: Machine, name: str) -> Result:
    account = accounts.find(machine.store, machine.state, name)
    if account is None:
        return {"name": name, "state": "absent", "msg": f"Querying user '{name}'"}
    groups = [{"name": _NAMES[sid], "path": f"WinNT://{HOST_NAME}/{_NAMES[sid]}"} for sid in account.groups]
    return {"name": account.name, "state": "present", "sid": _sid(account.name), "groups": groups}


# As a French Windows has them: whoever looks for a group by its English name finds none.
_NAMES = {accounts.ADMINISTRATORS: "Administrateurs"}


def _sid(name: str) -> str:
    return f"S-1-5-21-1-2-3-{1000 + int(accounts.fingerprint(name.lower())[:6], 16)}"


def win_user_right(machine: Machine, params: Params) -> Result:
    holders = machine.state.user_rights.setdefault(params["name"], [])
    missing = []
    for user in params["users"]:
        account = accounts.find(machine.store, machine.state, user)
        if account is None:
            raise ModuleFailure(f"Failed to find user '{user}'")
        if account.name not in holders:
            missing.append(account.name)
    holders += missing
    return {"changed": bool(missing), "added": missing, "removed": []}


def win_whoami(machine: Machine, _params: Params) -> Result:
    account = accounts.find(machine.store, machine.state, machine.user)
    groups: list[dict[str, Any]] = [
        {"account_name": _NAMES[sid], "domain_name": "BUILTIN", "sid": sid, "type": "Alias"}
        for sid in (account.groups if account else ())
    ]
    return {"changed": False, "account": {"account_name": machine.user, "type": "User"}, "groups": groups}


MODULES = {
    "ansible.windows.win_user": Module(
        win_user,
        {
            "name": Option(required=True),
            "state": Option(
                default="present", choices=("absent", "present", "query"), modelled=("present", "query")
            ),
            "password": Option(),
            "update_password": Option(
                default="always", choices=("always", "on_create"), modelled=("always",)
            ),
            "password_never_expires": Option("bool"),
            "description": Option(),
            "groups": Option("list", modelled=([accounts.ADMINISTRATORS],)),
            "groups_action": Option(
                default="replace", choices=("add", "remove", "replace"), modelled=("add",)
            ),
        },
    ),
    "ansible.windows.win_user_right": Module(
        win_user_right,
        {
            "name": Option(required=True, modelled=(accounts.BATCH,)),
            "users": Option("list", required=True),
            "action": Option(default="set", choices=("add", "remove", "set"), modelled=("add",)),
        },
    ),
    "ansible.windows.win_whoami": Module(win_whoami, {}),
}
