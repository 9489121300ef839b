"""A machine as it comes from the shelf, and how it reports itself."""

from __future__ import annotations

from dataclasses import dataclass

from . import installers
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

# URL Rewrite 2.1 and ARR 3.0 count as installed when these files are there.
REWRITE_DLL = r"C:\Windows\System32\inetsrv\rewrite.dll"
ARR_DLL = r"C:\Program Files\IIS\Application Request Routing\requestRouter.dll"


# WSL's own package, which replaces what Windows brings along; its version stands in it.
WSL_EXE = r"C:\Program Files\WSL\wsl.exe"
WSL_FEATURES = ("Microsoft-Windows-Subsystem-Linux", "VirtualMachinePlatform")
# The beginning of a root file system that can be imported: the container is all that the archive would hold.
ROOT_FS = b"stand-in root file system\n"

# The stand-ins of what Windows is given. Real setups of the two modules refuse to run without IIS.
INSTALLERS = {
    "rewrite_amd64_en-US.msi": installers.package(
        "URL Rewrite 2.1",
        {REWRITE_DLL: "stand-in for URL Rewrite\n"},
        needs="Web-Server",
        product_id="{9BCA2118-F753-4A1E-BCF3-5A820729965C}",
    ),
    "requestRouter_amd64.msi": installers.package(
        "Application Request Routing 3.0",
        {ARR_DLL: "stand-in for ARR\n"},
        needs="Web-Server",
        # As where a process holds a file of it.
        code=installers.RESTART,
        product_id="{279B4CB0-A213-4F94-B224-19D6F5C59942}",
    ),
    "wsl.msi": installers.package("Windows Subsystem for Linux", {WSL_EXE: "2.6.1.0"}),
    "rootfs.tar": ROOT_FS + b"what it holds is the image of gpu-host\n",
}


def install_modules(store: Store) -> None:
    """URL Rewrite and ARR, as on a machine whose owner has installed them."""
    for dll in (REWRITE_DLL, ARR_DLL):
        path = store.path(dll)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"stand-in for the module that its installer puts here\n")


def prepare(
    store: Store,
    guest: str = "gpu-host",
    flavour: str = "server-2022",
    owner: str = "ansible",
    *,
    empty: bool = False,
) -> None:
    """Give a machine without a past its first state; leave any other as it is. Raises ValueError.

    `guest` is the DNS name of the container that plays the WSL guest. The distribution belongs to the account `owner`,
    who has had it for a while; on an `empty` machine there is neither WSL nor a distribution.
    """
    if (store.root / "state.json").exists():
        return
    for folder in (r"C:\Users", r"C:\ProgramData", r"C:\Windows\Temp", r"D:\\"):
        store.path(folder).mkdir(parents=True, exist_ok=True)
    if flavour not in FLAVOURS:
        raise ValueError(f"no such Windows: {flavour!r}; there are {', '.join(FLAVOURS)}")
    with store.edit() as state:
        state.flavour = flavour
        state.guest = guest
        state.services["iphlpsvc"] = {"display_name": "IP Helper", "state": "started", "start_mode": "auto"}
        if empty:
            return
        store.path(WSL_EXE).parent.mkdir(parents=True, exist_ok=True)
        store.path(WSL_EXE).write_text("2.6.1.0")
        state.features.update(dict.fromkeys(WSL_FEATURES, True))
        state.wsl_starts = 1
        state.wsl_distributions["Ubuntu"] = {
            "state": "Running",
            "guest": guest,
            "address": "172.29.2.2",
            "owner": owner,
        }
