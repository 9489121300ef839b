"""What Backup-Gateway.ps1 and Restore-Gateway.ps1 do to the machine, told in Python (see script_models.py).

Sources: Microsoft's page on appcmd's backups. applicationHost.config is a part of the machine's state here; which
certificate answers is none of it, that stands in http.sys and no backup holds it.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict
from pathlib import PureWindowsPath
from typing import TYPE_CHECKING, Any

from .script_models import ScriptError, ScriptRun
from .state import AppPool, Binding, Site, State

if TYPE_CHECKING:
    from .modules.contract import Machine

_HTTP_SYS = ("certificate_hash", "certificate_store_name")


def configuration(state: State) -> dict[str, Any]:
    """applicationHost.config, as far as the roles can change it."""
    sites = {name: asdict(site) for name, site in state.sites.items()}
    for site in sites.values():
        site["bindings"] = [
            {k: v for k, v in binding.items() if k not in _HTTP_SYS} for binding in site["bindings"]
        ]
    return {
        "sites": sites,
        "app_pools": {name: asdict(pool) for name, pool in state.app_pools.items()},
        "server_config": state.server_config,
        "allowed_server_variables": state.allowed_server_variables,
    }


def backup_gateway(run: ScriptRun, parameters: dict[str, Any]) -> None:
    machine = run.machine
    run.result = {"name": ""}
    if not machine.state.features.get("Web-Server"):
        return
    ours = _web_configs(machine, parameters["SitesRoot"])
    parts = [json.dumps(configuration(machine.state), sort_keys=True)]
    parts += [f"{name} {hashlib.sha256(content).hexdigest()}" for name, content in sorted(ours.items())]
    mark = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    held = [name for name in machine.state.iis_backups if name.endswith(f"-{mark}")]
    if held:
        run.result = {"name": held[0]}
        return
    name = f"comfystack-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{mark}"
    if not machine.check:
        for site, content in ours.items():
            file = machine.path(str(PureWindowsPath(parameters["Store"], name, site, "web.config")))
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        machine.state.iis_backups[name] = json.loads(json.dumps(configuration(machine.state)))
    run.changed, run.result = True, {"name": name}
    run.difference = {"before": {"backup": ""}, "after": {"backup": name}}


def restore_gateway(run: ScriptRun, parameters: dict[str, Any]) -> None:
    machine, name = run.machine, parameters["Name"]
    there = machine.state.iis_backups
    if name not in there:
        raise ScriptError(
            f"found: no backup '{name}'\nexpected: one of {', '.join(sorted(there))}\n"
            "next step: name it; their times are UTC"
        )
    now, then = (
        {key: site for key, site in one["sites"].items() if key not in parameters["Sites"]}
        for one in (configuration(machine.state), there[name])
    )
    different = sorted(key for key in {*now, *then} if now.get(key) != then.get(key))
    if different and not parameters["Others"]:
        raise ScriptError(
            f"found: in the backup {name} sites of others are not as they are now: {', '.join(different)}\n"
            "expected: a backup that changes our sites alone\n"
            "next step: take a later one, or say iis_gateway_restore_others=true to change those sites too"
        )
    if not machine.check:
        _put_back(machine.state, there[name])
        kept = machine.path(str(PureWindowsPath(parameters["Store"], name)))
        for file in sorted(kept.glob("*/web.config")) if kept.is_dir() else []:
            target = machine.path(
                str(PureWindowsPath(parameters["SitesRoot"], file.parent.name, "web.config"))
            )
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    run.changed, run.result = True, {"name": name}
    run.difference = {"before": {"sites_of_others": different}, "after": {"backup": name}}


def _web_configs(machine: Machine, root: str) -> dict[str, bytes]:
    folder = machine.path(root)
    found = sorted(folder.glob("*/web.config")) if folder.is_dir() else []
    return {file.parent.name: file.read_bytes() for file in found}


def _put_back(state: State, saved: dict[str, Any]) -> None:
    served = {
        (binding.port, binding.hostname): {key: getattr(binding, key) for key in _HTTP_SYS}
        for site in state.sites.values()
        for binding in site.bindings
    }
    state.sites = {}
    for name, raw in saved["sites"].items():
        bindings = [Binding(**b, **served.get((b["port"], b["hostname"]), {})) for b in raw["bindings"]]
        state.sites[name] = Site(**{**raw, "bindings": bindings})
    state.app_pools = {name: AppPool(**raw) for name, raw in saved["app_pools"].items()}
    state.server_config = saved["server_config"]
    state.allowed_server_variables = saved["allowed_server_variables"]
