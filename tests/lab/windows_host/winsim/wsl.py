"""WSL on the simulated machine: who may start a guest, what holds it, what ends it, at which address it answers.

From the source of microsoft/WSL (August 2026): LocalSystem is refused; distributions belong to an account; an
instance ends 15 seconds after its last client unless `instanceIdleTimeout=-1` stands in the owner's .wslconfig.
The address of a guest is new at each start; iis/portproxy.py leads it to the container that plays the guest.
"""

from __future__ import annotations

import configparser
import logging
import time
from typing import Any

from . import vm
from .environment import profile
from .machine import ROOT_FS, WSL_EXE
from .scheduler import Launch, Ran, program
from .state import State, Store

log = logging.getLogger("winsim.wsl")

NETWORK = "172.29."
IDLE_SECONDS = 15.0
FAILED = 0xFFFFFFFF  # what wsl.exe ends with when it refuses
_HOLD = ["--user", "root", "--exec", "sleep", "infinity"]


class WslError(Exception):
    """wsl.exe ends with an error; the text is what it says."""


def find(state: State, user: str, name: str) -> tuple[str, dict[str, Any]]:
    """The distribution of that account by its name, whatever the case. Raises WslError."""
    if user == "SYSTEM":
        raise WslError(
            "Running WSL as local system is not supported.\nError code: Wsl/WSL_E_LOCAL_SYSTEM_NOT_SUPPORTED"
        )
    for known, entry in own(state, user).items():
        if known.lower() == name.lower():
            return known, entry
    raise WslError(
        "There is no distribution with the supplied name.\nError code: Wsl/Service/WSL_E_DISTRO_NOT_FOUND"
    )


def require(store: Store, state: State) -> None:
    """wsl.exe of WSL's package, on a Windows that can run it. Raises WslError."""
    if not store.path(WSL_EXE).is_file():
        raise WslError(
            "The Windows Subsystem for Linux is not installed. You can install by running 'wsl.exe --install'."
        )
    if not state.features.get("VirtualMachinePlatform"):
        raise WslError(
            'WSL2 is not supported with your current machine configuration. Please enable the "Virtual Machine '
            'Platform" optional component.\nError code: Wsl/Service/CreateInstance/HCS/HCS_E_SERVICE_NOT_AVAILABLE'
        )


def import_distribution(store: Store, state: State, user: str, name: str, folder: str, file: str) -> None:
    """`wsl --import NAME FOLDER FILE --version 2`. Raises WslError."""
    require(store, state)
    if user == "SYSTEM":
        raise WslError("Running WSL as local system is not supported.")
    source = store.path(file)
    if not source.is_file() or not source.read_bytes().startswith(ROOT_FS):
        raise WslError(
            "Importing the distribution failed.\nError code: Wsl/Service/RegisterDistro/WSL_E_IMPORT_FAILED"
        )
    disk = store.path(folder)
    disk.mkdir(parents=True, exist_ok=True)
    (disk / "ext4.vhdx").write_bytes(b"stand-in for the disk of a distribution\n")
    if name in state.wsl_distributions:
        raise NotImplementedError(
            f"two accounts with a distribution {name} each: the container plays one guest"
        )
    state.wsl_distributions[name] = {"state": "Stopped", "guest": state.guest, "address": "", "owner": user}


def own(state: State, user: str) -> dict[str, dict[str, Any]]:
    """The distributions of an account, all that `wsl --list` shows it."""
    return {
        name: entry
        for name, entry in state.wsl_distributions.items()
        if entry["owner"].lower() == user.lower()
    }


def start(state: State, entry: dict[str, Any]) -> None:
    """The guest runs afterwards, at an address that no start before had."""
    if entry["state"] == "Running":
        return
    state.wsl_starts += 1
    entry["address"] = f"{NETWORK}{state.wsl_starts % 250 + 1}.2"
    entry["state"] = "Running"
    vm.up()


def shut_down(state: State, store: Store, user: str) -> bool:
    """`wsl --shutdown`: what belongs to that account has ended, and with it the tasks that held it.

    Each account has a virtual machine of its own; the one of another account runs on. False where the guest's
    container, which is that machine, did not end.
    """
    mine = own(state, user)
    for entry in mine.values():
        entry["state"] = "Stopped"
    store.held -= mine.keys()
    if store.scheduler:
        # Nothing else lasts than what holds a guest.
        for path in sorted(store.scheduler.running):
            if state.scheduled_tasks[path]["username"].lower() == user.lower():
                store.scheduler.end(path)
    return not mine or vm.down()


def end_idle(store: Store, now: float) -> None:
    """Guests that nothing has used for a while end, as WSL ends them."""
    state = store.read()
    idle = [
        name
        for name, entry in state.wsl_distributions.items()
        if entry["state"] == "Running"
        and name not in store.held
        and now - store.used.setdefault(name, now) > IDLE_SECONDS
        and setting(store, entry["owner"], "general", "instanceIdleTimeout") != "-1"
    ]
    if idle:
        with store.edit() as state:
            for name in idle:
                log.info("the distribution %s ends: no client for %.0f s", name, IDLE_SECONDS)
                state.wsl_distributions[name]["state"] = "Stopped"


def setting(store: Store, user: str, section: str, key: str) -> str | None:
    r"""A value of C:\Users\USER\.wslconfig; names count without regard to case."""
    try:
        text = store.path(profile(user) + r"\.wslconfig").read_text(encoding="utf-8-sig")
    except OSError:
        return None
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.read_string(text)
    wanted = next((name for name in parser.sections() if name.lower() == section.lower()), None)
    return parser.get(wanted, key, fallback=None) if wanted else None


@program("wsl.exe")
def hold(launch: Launch) -> Ran:
    """`wsl.exe --distribution NAME --user root --exec sleep infinity`: the guest runs as long as this does."""
    words = launch.arguments
    if len(words) != 2 + len(_HOLD) or words[0] not in ("--distribution", "-d") or words[2:] != _HOLD:
        log.error("The Windows simulator does not model the task `wsl.exe %s`", " ".join(words))
        return Ran(FAILED)
    try:
        with launch.store.edit() as state:
            name, entry = find(state, launch.user, words[1])
            start(state, entry)
    except WslError as error:
        log.error("wsl.exe: %s", error)
        return Ran(FAILED)
    launch.store.held.add(name)
    launch.store.used[name] = time.time()
    return Ran(0, lasting=True)
