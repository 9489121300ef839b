"""Where a TCP connection ends that a program on the simulated machine opens."""

from __future__ import annotations

import ipaddress

from ..state import State
from .errors import NotModelledError

_ANY = {"*", "0.0.0.0", ""}  # noqa: S104 - compared with, never bound


def resolve(state: State, host: str, port: int) -> tuple[str, int]:
    """The address behind host:port, seen from Windows.

    Loopback ports exist only where `netsh interface portproxy` made them; any other address is another
    machine and is returned as it is. Raises ConnectionRefusedError for a loopback port without an entry.
    """
    for entry in state.portproxy:
        if entry.listen_port == port and entry.listen_address.lower() in {host.lower(), *_ANY}:
            return entry.connect_address, entry.connect_port
    if host.lower() == "localhost":
        raise NotModelledError("a backend called 'localhost' (IPv6 is tried first); write 127.0.0.1")
    if _is_loopback(host):
        raise ConnectionRefusedError(f"nothing listens on {host}:{port} and no portproxy entry leads on")
    return host, port


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
