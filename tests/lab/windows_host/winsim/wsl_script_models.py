"""What the PowerShell scripts of role wsl_host do to the machine; a model is of one text of its script only."""

from __future__ import annotations

import json
import logging
import re
import time
from datetime import UTC, datetime
from typing import Any

from . import accounts, wsl
from .iis import httpsys
from .scheduler import Launch, Ran
from .script_models import ScriptError, ScriptRun
from .state import PortProxy, State

log = logging.getLogger("winsim.wsl")


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


def get_display_driver(run: ScriptRun, parameters: dict[str, Any]) -> None:
    """The lab lays down the adapters (tests/lab/driver.py); a machine without that file has none."""
    try:
        shown = json.loads((run.machine.store.root / "adapters.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        shown = []
    run.result = {
        "adapters": [
            {
                "name": one["name"],
                "version": re.sub(r".*(\d)\.(\d\d)(\d\d)", r"\1\2.\3", one["version"]),
                "store": one["store"],
                "error": one["error"],
            }
            for one in shown
            if one["name"].startswith("NVIDIA")
        ]
    }


def restart_wsl(run: ScriptRun, parameters: dict[str, Any]) -> None:
    task = f"{parameters['TaskPath']}{parameters['TaskName']}"
    state, store = run.machine.state, run.machine.store
    if task not in state.scheduled_tasks:
        raise ScriptError(f"no scheduled task {task}")
    run.changed = True
    if run.machine.check:
        return
    if not wsl.shut_down(state, store, run.machine.user):
        raise ScriptError("the simulated guest did not end; look at its log")
    if store.scheduler and task in store.scheduler.running:
        raise ScriptError(f"the task {task} is still running after WSL has ended")
    if store.scheduler:
        store.scheduler.start(task)


def restart_guest(launch: Launch, parameters: dict[str, str]) -> Ran:
    """Restart-Guest.ps1, run by Task Scheduler."""
    store, task = launch.store, f"{parameters['TaskPath']}{parameters['TaskName']}"
    if not _may_write(launch):
        return Ran(1)
    if task not in store.read().scheduled_tasks:
        note(launch, parameters["Journal"], [f"nothing was ended: no scheduled task {task}"])
        return Ran(1)
    note(launch, parameters["Journal"], ["WSL ends"])
    with store.edit() as state:
        ended = wsl.shut_down(state, store, launch.user)
    if not ended:
        note(launch, parameters["Journal"], ["wsl --shutdown ended with 1: the simulated guest did not end"])
        return Ran(1)
    if store.scheduler:
        store.scheduler.start(task)
    note(launch, parameters["Journal"], [f"the task {task} starts the guest"])
    return Ran(0)


def set_ini_value(run: ScriptRun, parameters: dict[str, Any]) -> None:
    file = run.machine.path(parameters["Path"])
    text = file.read_text(encoding="utf-8-sig") if file.exists() else ""
    lines = text.replace("\r\n", "\n").rstrip().split("\n") if text.strip() else []
    before, after = {}, {}
    for setting in parameters["Settings"]:
        section, key, wanted = (str(setting[name]) for name in ("section", "key", "value"))
        at, end = _place(lines, section, key)
        current = lines[at].partition("=")[2].strip() if at is not None else ""
        # PowerShell's -eq compares strings without regard to case.
        if current.lower() == wanted.lower():
            continue
        before[f"[{section}] {key}"], after[f"[{section}] {key}"] = current, wanted
        if at is not None:
            lines[at] = f"{key}={wanted}"
        elif end is not None:
            lines.insert(end + 1, f"{key}={wanted}")
        else:
            lines += [f"[{section}]", f"{key}={wanted}"]
    if after and not run.machine.check:
        if file.exists():
            file.with_name(file.name + ".before").write_bytes(file.read_bytes())
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\r\n".join(lines) + "\r\n", newline="")
    run.changed = bool(after)
    run.difference = {"before": before, "after": after}
    run.result = {"changed_settings": list(after)}


def _place(lines: list[str], section: str, key: str) -> tuple[int | None, int | None]:
    """Where the key stands, and the last line of its section that is not empty."""
    inside, at, end = False, None, None
    for number, line in enumerate(lines):
        if head := re.match(r"\s*\[\s*(.+?)\s*\]", line):
            inside = head[1].lower() == section.lower()
        if inside and line.strip():
            end = number
            found = re.match(r"\s*([^#;=\[\s][^=]*?)\s*=", line)
            if found and found[1].lower() == key.lower():
                at = number
    return at, end


def set_port_proxy(run: ScriptRun, parameters: dict[str, Any]) -> None:
    for name in ("ListenPort", "ConnectPort"):
        if not 1 <= int(parameters[name]) <= 65535:
            raise ScriptError(
                f"Cannot validate argument on parameter '{name}': {parameters[name]} is out of range."
            )
    listen = f"{parameters['ListenAddress']}/{int(parameters['ListenPort'])}"
    connect = f"{parameters['ConnectAddress']}/{int(parameters['ConnectPort'])}"
    before = leads(run.machine.state, listen)
    lead(run.machine.state, listen, connect)
    run.changed = before != connect
    run.difference = {"before": {listen: before}, "after": {listen: connect}}
    run.result = {"listen": listen, "connect": connect}


def leads(state: State, listen: str) -> str:
    """Where an address/port leads, as address/port; nowhere is ""."""
    for line in state.portproxy:
        if f"{line.listen_address}/{line.listen_port}" == listen:
            return f"{line.connect_address}/{line.connect_port}"
    return ""


def lead(state: State, listen: str, connect: str) -> None:
    """`netsh interface portproxy set`: address/port leads to address/port."""
    listen_address, _, listen_port = listen.partition("/")
    connect_address, _, connect_port = connect.partition("/")
    wanted = PortProxy(listen_address, int(listen_port), connect_address, int(connect_port))
    if leads(state, listen) != connect:
        state.portproxy[:] = [
            line for line in state.portproxy if f"{line.listen_address}/{line.listen_port}" != listen
        ]
        state.portproxy.append(wanted)


def watch_guest(launch: Launch, parameters: dict[str, str]) -> Ran:
    """Watch-Guest.ps1, run by Task Scheduler."""
    store, wrong, said = launch.store, False, []
    with store.edit() as state:
        try:
            name, entry = wsl.find(state, launch.user, parameters["Distribution"])
            wsl.start(state, entry)
            store.used[name] = time.time()
        except wsl.WslError as error:
            said.append(f"guest: {parameters['Distribution']} gave no address: {error}")
            wrong = True
        else:
            for forward in filter(None, parameters["Forward"].split(",")):
                address, port, guest_port = forward.split("/")
                listen, connect = f"{address}/{port}", f"{entry['address']}/{guest_port}"
                if leads(state, listen) == connect:
                    continue
                if not _may_write(launch):
                    return Ran(1)
                lead(state, listen, connect)
                said.append(f"port proxy: {listen} leads to {connect}")
    probe = re.fullmatch(r"http://127\.0\.0\.1(?::(\d+))?/", parameters["ProbeUrl"])
    if probe is None:
        said.append(f"The Windows simulator does not model a probe of {parameters['ProbeUrl']}")
        wrong = True
    elif not httpsys.bindings(store.read(), int(probe[1] or 80), "http"):
        said.append(f"IIS: no answer at {parameters['ProbeUrl']}: Unable to connect to the remote server")
        wrong = True
    if said and _may_write(launch):
        note(launch, parameters["Journal"], said)
    return Ran(1 if wrong else 0)


def _may_write(launch: Launch) -> bool:
    """Whether netsh lets the account lead ports, and Program Files lets it write: administrators only."""
    account = accounts.find(launch.store, launch.store.read(), launch.user)
    if account is not None and account.administrator:
        return True
    log.error("%s: The requested operation requires elevation (Run as administrator).", launch.user)
    return False


def note(launch: Launch, journal: str, said: list[str]) -> None:
    """Write-Journal, in both scripts of Task Scheduler."""
    file = launch.store.path(journal)
    kept = file.read_text(encoding="utf-8-sig").splitlines() if file.exists() else []
    moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    lines = [*kept, *(f"{moment} {line}" for line in said)][-1000:]
    file.write_text("\r\n".join(lines) + "\r\n", encoding="utf-8-sig", newline="")
