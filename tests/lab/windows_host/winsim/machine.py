"""A machine as it comes from the shelf, and how it reports itself."""

from __future__ import annotations

from dataclasses import dataclass

from .state import Store

HOST_NAME = "WINDOWS-HOST"


@dataclass(frozen=True)
class Flavour:
    """An edition of Windows as ansible_facts shows it."""

    distribution: str
    build: str
    product_type: str
    installation_type: str


FLAVOURS = {
    "server-2022": Flavour("Microsoft Windows Server 2022 Standard", "10.0.20348.0", "server", "Server"),
    "windows-11": Flavour("Microsoft Windows 11 Pro", "10.0.26100.0", "workstation", "Client"),
}

# URL Rewrite 2.1 and ARR 3.0 count as installed when these files are there. Real setups refuse to run without
# IIS; this machine's image carries them beforehand, as the user's does.
REWRITE_DLL = r"C:\Windows\System32\inetsrv\rewrite.dll"
ARR_DLL = r"C:\Program Files\IIS\Application Request Routing\requestRouter.dll"


def prepare(
    store: Store, guest: str = "gpu-host", flavour: str = "server-2022", owner: str = "ansible"
) -> None:
    """Give a machine without a past its first state; leave any other as it is. Raises ValueError.

    `guest` is the DNS name of the container that plays the WSL guest; the distribution belongs to the account `owner`.
    """
    if (store.root / "state.json").exists():
        return
    for dll in (REWRITE_DLL, ARR_DLL):
        path = store.path(dll)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"stand-in for the module that its installer puts here\n")
    for folder in (r"C:\Users", r"C:\ProgramData", r"C:\Windows\Temp", r"D:\\"):
        store.path(folder).mkdir(parents=True, exist_ok=True)
    if flavour not in FLAVOURS:
        raise ValueError(f"no such Windows: {flavour!r}; there are {', '.join(FLAVOURS)}")
    with store.edit() as state:
        state.flavour = flavour
        state.wsl_starts = 1
        state.wsl_distributions["Ubuntu"] = {
            "state": "Running",
            "guest": guest,
            "address": "172.29.2.2",
            "owner": owner,
        }
        state.services["iphlpsvc"] = {"display_name": "IP Helper", "state": "started", "start_mode": "auto"}
