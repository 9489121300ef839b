"""A machine as it comes from the shelf, and how it reports itself."""

from __future__ import annotations

from .state import Store

HOST_NAME = "WINDOWS-HOST"
DISTRIBUTION = "Microsoft Windows Server 2022 Standard"
BUILD = "10.0.20348.0"

# URL Rewrite 2.1 and ARR 3.0 count as installed when these files are there. Real setups refuse to run without
# IIS; this machine's image carries them beforehand, as the user's does.
REWRITE_DLL = r"C:\Windows\System32\inetsrv\rewrite.dll"
ARR_DLL = r"C:\Program Files\IIS\Application Request Routing\requestRouter.dll"


def prepare(store: Store, guest: str = "gpu-host") -> None:
    """Give a machine without a past its first state; leave any other as it is.

    `guest` is the DNS name of the container that plays the WSL guest.
    """
    if (store.root / "state.json").exists():
        return
    for dll in (REWRITE_DLL, ARR_DLL):
        path = store.path(dll)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"stand-in for the module that its installer puts here\n")
    for folder in (r"C:\Users", r"C:\ProgramData", r"C:\Windows\Temp", r"D:\\"):
        store.path(folder).mkdir(parents=True, exist_ok=True)
    with store.edit() as state:
        state.wsl_distributions["Ubuntu"] = {"state": "Running", "guest": guest}
        state.services["iphlpsvc"] = {"display_name": "IP Helper", "state": "started", "start_mode": "auto"}
