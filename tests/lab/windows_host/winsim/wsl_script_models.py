"""What the PowerShell scripts of role wsl_host do to the machine; a model is of one text of its script only."""

from __future__ import annotations

import time
from typing import Any

from . import wsl
from .script_models import ScriptError, ScriptRun
from .state import PortProxy


def get_wsl_guest(run: ScriptRun, parameters: dict[str, Any]) -> None:
    distributions = wsl.own(run.machine.state, run.machine.user)
    wanted = parameters["Distribution"].lower()
    name, found = next(((n, d) for n, d in distributions.items() if n.lower() == wanted), ("", None))
    running = found is not None and found["state"] == "Running"
    if running:
        run.machine.store.used[name] = time.time()
    run.result = {
        "installed": True,
        "distributions": list(distributions),
        "running": running,
        "address": found["address"] if found is not None and running else "",
    }


def set_port_proxy(run: ScriptRun, parameters: dict[str, Any]) -> None:
    for name in ("ListenPort", "ConnectPort"):
        if not 1 <= int(parameters[name]) <= 65535:
            raise ScriptError(
                f"Cannot validate argument on parameter '{name}': {parameters[name]} is out of range."
            )
    wanted = PortProxy(
        parameters["ListenAddress"],
        int(parameters["ListenPort"]),
        parameters["ConnectAddress"],
        int(parameters["ConnectPort"]),
    )
    lines = run.machine.state.portproxy
    here = next(
        (
            p
            for p in lines
            if (p.listen_address, p.listen_port) == (wanted.listen_address, wanted.listen_port)
        ),
        None,
    )
    listen, connect = (
        f"{wanted.listen_address}/{wanted.listen_port}",
        f"{wanted.connect_address}/{wanted.connect_port}",
    )
    before = f"{here.connect_address}/{here.connect_port}" if here else ""
    if here != wanted:
        if here:
            lines.remove(here)
        lines.append(wanted)
        run.changed = True
    run.difference = {"before": {listen: before}, "after": {listen: connect}}
    run.result = {"listen": listen, "connect": connect}
