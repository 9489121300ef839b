"""What the PowerShell scripts that make a guest do to the machine; a model is of one text of its script only."""

from __future__ import annotations

from typing import Any

from . import guest_commands, vm, wsl
from .machine import WSL_EXE, WSL_FEATURES
from .script_models import ScriptError, ScriptRun


def get_wsl_platform(run: ScriptRun, parameters: dict[str, Any]) -> None:
    state = run.machine.state
    package = run.machine.path(WSL_EXE)
    run.result = {
        "distributions": list(wsl.own(state, run.machine.user)),
        "package": package.read_text() if package.is_file() else "",
        "virtualization": state.virtualization,
        "features": {
            name: "Enabled"
            if state.features.get(name)
            else "EnablePending"
            if name in state.features_pending
            else "Disabled"
            for name in WSL_FEATURES
        },
        "tcc_cards": [card["name"] for card in state.cards if card["driver_model"] == "TCC"],
    }


def import_wsl_guest(run: ScriptRun, parameters: dict[str, Any]) -> None:
    machine, name, folder = run.machine, parameters["Distribution"], parameters["Folder"]
    run.result = {"distribution": name}
    if name.lower() in (known.lower() for known in wsl.own(machine.state, machine.user)):
        return
    disk = machine.path(folder)
    if disk.is_dir() and any(disk.iterdir()):
        raise ScriptError(
            f"found: {folder} is not empty, and no distribution {name}\n"
            "expected: an empty folder, or none, for the disk of the new distribution\n"
            "next step: see whose it is; what an import left that was cut off may be removed"
        )
    run.changed = True
    known = list(wsl.own(machine.state, machine.user))
    run.difference = {"before": {"distributions": known}, "after": {"distributions": [*known, name]}}
    if machine.check:
        return
    try:
        wsl.import_distribution(
            machine.store, machine.state, machine.user, name, folder, parameters["RootFs"]
        )
    except wsl.WslError as error:
        raise ScriptError(
            f"found: wsl --import ended with -1: {error}\nexpected: the distribution {name} in {folder}\n"
            "next step: wsl --status on Windows tells what WSL misses"
        ) from error


def initialize_wsl_guest(run: ScriptRun, parameters: dict[str, Any]) -> None:
    run.changed = True
    run.result = {"said": []}
    run.difference = {"before": {}, "after": {"run": parameters["Script"]}}
    if run.machine.check:
        return
    state, name = run.machine.state, parameters["Distribution"]
    script = run.machine.path(parameters["Script"])
    _, entry = wsl.find(state, run.machine.user, name)
    wsl.start(state, entry)
    code, said = guest_commands.run(script.read_bytes(), [parameters["User"], parameters["Key"]])
    if code:
        last = "\n".join(said[-5:])
        raise ScriptError(
            f"found: the first start of {name} ended with {code}: {last}\n"
            f"expected: a guest with systemd, sshd and the account {parameters['User']}\n"
            "next step: settle what it says, most often that a package source cannot be reached, and run this again"
        )
    entry["state"] = "Stopped"
    vm.down()
    run.result = {"said": said}
