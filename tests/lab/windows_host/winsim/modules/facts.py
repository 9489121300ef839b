"""win_ping, the facts of ansible.windows.setup, and who listens."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from ..environment import profile, variables
from ..machine import FLAVOURS, HOST_NAME
from .contract import Machine, Module, NotModelled, Option, Params, Result


def win_ping(_machine: Machine, params: Params) -> Result:
    if params["data"] == "crash":
        raise NotModelled("win_ping with data=crash")
    return {"changed": False, "ping": params["data"]}


def win_listen_ports_facts(machine: Machine, _params: Params) -> Result:
    """What listens: http.sys for whatever IIS is bound to, as System, and other programs."""
    started = machine.state.services.get("W3SVC", {}).get("state") == "started"
    bound = (
        {binding.port for site in machine.state.sites.values() for binding in site.bindings}
        if started
        else set()
    )
    listening = [{"name": "System", "pid": 4, "port": port, "address": "::"} for port in sorted(bound)]
    listening += machine.state.listeners
    found = [{**one, "protocol": "tcp", "stime": "", "user": None} for one in listening]
    return {"changed": False, "ansible_facts": {"tcp_listen": found, "udp_listen": []}}


def _date_time(_machine: Machine) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "date_time": {
            "date": f"{now:%Y-%m-%d}",
            "time": f"{now:%H:%M:%S}",
            "iso8601": f"{now:%Y-%m-%dT%H:%M:%SZ}",
            "epoch": f"{now.timestamp():.5f}",
            "epoch_int": int(now.timestamp()),
            "year": f"{now:%Y}",
            "month": f"{now:%m}",
            "day": f"{now:%d}",
            "tz": "UTC",
            "tz_offset": "+00:00",
        }
    }


def _distribution(machine: Machine) -> dict[str, Any]:
    flavour = FLAVOURS[machine.state.flavour]
    return {
        "distribution": flavour.distribution,
        "distribution_version": flavour.build,
        "distribution_major_version": flavour.build.split(".")[0],
        "os_family": "Windows",
        "os_name": flavour.distribution,
        "os_product_type": flavour.product_type,
        "os_installation_type": flavour.installation_type,
    }


def _platform(machine: Machine) -> dict[str, Any]:
    return {
        "architecture": "64-bit",
        "architecture2": "x86_64",
        "domain": "",
        "fqdn": HOST_NAME,
        "hostname": HOST_NAME,
        "netbios_name": HOST_NAME,
        "nodename": HOST_NAME,
        "kernel": FLAVOURS[machine.state.flavour].build,
        "reboot_pending": bool(machine.state.features_pending),
        "system": "Win32NT",
        "system_vendor": "Windows simulator",
    }


def _user(machine: Machine) -> dict[str, Any]:
    return {"user_id": machine.user, "user_dir": profile(machine.user), "user_gecos": ""}


_SUBSETS: dict[str, Callable[[Machine], dict[str, Any]]] = {
    "date_time": _date_time,
    "distribution": _distribution,
    "env": lambda machine: {"env": variables(machine.user)},
    "platform": _platform,
    "powershell_version": lambda _machine: {"powershell_version": 5},
    "user": _user,
    "memory": lambda _machine: {"memtotal_mb": 65536, "memfree_mb": 32768, "swaptotal_mb": 0},
    "processor": lambda _machine: {"processor_vcpus": os.cpu_count() or 1, "processor_count": 1},
}
_MINIMUM = {"date_time", "distribution", "env", "platform", "powershell_version", "user"}
# Collected by the real module, left out here: no role asks for them, and a wrong answer would be worse.
_EMPTY = {
    "all_ipv4_addresses", "all_ipv6_addresses", "bios", "dns", "external", "facter", "hardware", "interfaces",
    "local", "network", "uptime", "virtual", "windows_domain", "winrm",
}  # fmt: skip


def setup(machine: Machine, params: Params) -> Result:
    everything = set(_SUBSETS)
    chosen, included = set(everything), set()
    for item in params["gather_subset"]:
        name = item.removeprefix("!")
        group = {"all": everything, "min": _MINIMUM}.get(name, {name} & everything)
        if not group and name not in _EMPTY:
            raise NotModelled(f"the fact subset {item!r}")
        if item.startswith("!"):
            chosen -= group - _MINIMUM if name == "all" else group
        else:
            included |= group
    facts: dict[str, Any] = {"gather_subset": params["gather_subset"], "module_setup": True}
    for subset, collect in _SUBSETS.items():
        if subset in chosen | included:
            facts.update({f"ansible_{key}": value for key, value in collect(machine).items()})
    return {"changed": False, "ansible_facts": facts}


MODULES = {
    "ansible.windows.win_ping": Module(win_ping, {"data": Option(default="pong")}),
    "ansible.windows.setup": Module(
        setup,
        {
            "gather_subset": Option("list", ["all"]),
            "gather_timeout": Option("int", 10),
            "fact_path": Option(),
            # gather_facts hands these to every setup module; the Windows one ignores them.
            "filter": Option("raw"),
        },
    ),
    "ansible.windows.win_listen_ports_facts": Module(
        win_listen_ports_facts,
        {
            "date_uformat": Option(default="%c"),
            "tcp_filter": Option("list", ["Listen"], modelled=(["Listen"],)),
        },
    ),
}
