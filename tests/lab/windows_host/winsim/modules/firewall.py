"""community.windows.win_firewall_rule, with the values the COM object keeps."""

from __future__ import annotations

import ipaddress
from typing import Any

from .contract import Machine, Module, ModuleFailure, NotModelled, Option, Params, Result

_ALL_PROFILES = 0x7FFFFFFF
_PROFILES = {"domain": 1, "private": 2, "public": 4}
_PROTOCOLS = {"tcp": 6, "udp": 17}
_FRESH: dict[str, Any] = {
    "Description": "",
    "Direction": 1,
    "Action": 1,
    "Enabled": True,
    "Profiles": _ALL_PROFILES,
    "LocalAddresses": "*",
    "RemoteAddresses": "*",
    "LocalPorts": "*",
    "RemotePorts": "*",
    "Protocol": 256,
    "Grouping": "",
}


def _wanted(params: Params) -> dict[str, Any]:
    """Only what the task names, as the COM object's properties."""
    wanted: dict[str, Any] = {}
    for argument, name in (
        ("description", "Description"),
        ("group", "Grouping"),
        ("enabled", "Enabled"),
    ):
        if params[argument] is not None:
            wanted[name] = params[argument]
    for argument, name in (
        ("localip", "LocalAddresses"),
        ("remoteip", "RemoteAddresses"),
        ("localport", "LocalPorts"),
        ("remoteport", "RemotePorts"),
    ):
        if params[argument] is not None:
            wanted[name] = "*" if params[argument] == "any" else params[argument]
    if "/" in wanted.get("RemoteAddresses", ""):
        # The COM object keeps a network with its mask, whatever it was given.
        networks = wanted["RemoteAddresses"].split(",")
        wanted["RemoteAddresses"] = ",".join(ipaddress.ip_network(n).with_netmask for n in networks)
    if params["direction"]:
        wanted["Direction"] = {"in": 1, "out": 2}[params["direction"]]
    if params["action"]:
        wanted["Action"] = {"block": 0, "allow": 1}[params["action"]]
    if params["protocol"]:
        if params["protocol"].lower() not in _PROTOCOLS:
            raise NotModelled(f"a firewall rule for the protocol {params['protocol']!r}")
        wanted["Protocol"] = _PROTOCOLS[params["protocol"].lower()]
    if params["profiles"]:
        unknown = [p for p in params["profiles"] if p not in _PROFILES]
        if unknown:
            raise ModuleFailure(f"Unknown profile '{unknown[0]}'.")
        bits = sum(_PROFILES[p] for p in set(params["profiles"]))
        wanted["Profiles"] = _ALL_PROFILES if bits == 7 else bits
    return wanted


def win_firewall_rule(machine: Machine, params: Params) -> Result:
    name, rules = params["name"], machine.state.firewall_rules
    lines: list[str] = []
    if params["state"] == "absent":
        old = rules.pop(name, None)
        if old is not None:
            lines = [f"-[{name}]", *(f"-{key}='{value}'" for key, value in old.items())]
        message = f"Firewall rule(s) '{name}' removed." if old else f"Firewall rule '{name}' does not exist."
    elif name not in rules:
        rules[name] = {**_FRESH, **_wanted(params)}
        lines = [f"+[{name}]", *(f"+{key}='{value}'" for key, value in rules[name].items())]
        message = f"Firewall rule '{name}' created."
    else:
        rule = rules[name]
        for key, value in _wanted(params).items():
            # The real module compares what it was given, not what the COM object makes of it.
            if rule[key] != (params["remoteip"] if key == "RemoteAddresses" and value != "*" else value):
                lines += [f"-{key}='{rule[key]}'", f"+{key}='{value}'"]
                rule[key] = value
        message = f"Firewall rule(s) {'changed' if lines else 'unchanged'} '{name}'"
    result: Result = {"changed": bool(lines), "msg": message}
    if machine.diff:
        result["diff"] = {"prepared": "".join(f"{line}\n" for line in lines)}
    return result


MODULES = {
    "community.windows.win_firewall_rule": Module(
        win_firewall_rule,
        {
            "name": Option(required=True),
            "state": Option(default="present", choices=("present", "absent")),
            "description": Option(),
            "group": Option(),
            "direction": Option(choices=("in", "out")),
            "action": Option(choices=("allow", "block")),
            "enabled": Option("bool", aliases=("enable",)),
            "profiles": Option("list", aliases=("profile",)),
            "protocol": Option(),
            "localip": Option(),
            "remoteip": Option(),
            "localport": Option(),
            "remoteport": Option(),
        },
    )
}
