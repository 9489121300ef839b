"""The loopback ports through which the controller and the operator reach the lab."""

from __future__ import annotations

import os
import socket
from collections.abc import Set

from .console import LabError

# What is asked for first, by service; LAB_HTTPS_PORT and the like insist on one.
PREFERRED = {"https": 8443, "http": 8080, "winrm": 15986, "ssh": 2222, "registry": 5000}
# The machine that serves each.
MACHINE = {
    "https": "windows-host",
    "http": "windows-host",
    "winrm": "windows-host",
    "ssh": "gpu-host",
    "registry": "registry",
}
ADDRESS = "127.0.0.1"


def is_free(port: int) -> bool:
    """Whether nothing listens on the loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
        except OSError:
            return False
    return True


def _any_free() -> int:
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        return int(probe.getsockname()[1])


def choose(services: Set[str]) -> dict[str, int]:
    """A free port for each of `services`. Raises LabError where the operator insists on one that is taken."""
    chosen: dict[str, int] = {}
    for service, preferred in PREFERRED.items():
        if service not in services:
            continue
        variable = f"LAB_{service.upper()}_PORT"
        wanted = os.environ.get(variable)
        if wanted:
            if not wanted.isdecimal() or not 0 < int(wanted) < 65536:
                raise LabError(
                    f"{variable}={wanted!r}", "a port number, 1 to 65535", f"correct {variable} or unset it"
                )
            if not is_free(int(wanted)):
                raise LabError(
                    found=f"port {wanted} on {ADDRESS} is already taken ({variable})",
                    expected="a free port for the lab's " + service,
                    next_step=f"`ss -ltnp 'sport = :{wanted}'` shows who holds it; free it, or unset {variable}",
                )
            chosen[service] = int(wanted)
        else:
            chosen[service] = preferred if is_free(preferred) else _any_free()
    return chosen
