"""Where a TCP connection ends that a program on the simulated machine opens."""

from __future__ import annotations

import ipaddress
import socket

from .. import wsl
from ..state import State
from .errors import NotModelledError

_ANY = {"*", "0.0.0.0", ""}  # noqa: S104 - compared with, never bound


def resolve(state: State, host: str, port: int) -> tuple[str, int]:
    """The address behind host:port, seen from Windows.

    Loopback ports exist only where `netsh interface portproxy` made them; any other address is another
    machine and is returned as it is. Raises ConnectionRefusedError where nothing would answer.
    """
    service = state.services.get("iphlpsvc", {"state": "started"})
    for entry in state.portproxy if service["state"] == "started" else []:
        if entry.listen_port == port and entry.listen_address.lower() in {host.lower(), *_ANY}:
            return _guest(state, entry.connect_address), entry.connect_port
    if host.lower() == "localhost":
        raise NotModelledError("a backend called 'localhost' (IPv6 is tried first); write 127.0.0.1")
    if _is_loopback(host):
        raise ConnectionRefusedError(
            f"nothing listens on {host}:{port}: no portproxy entry leads on, or iphlpsvc is stopped"
        )
    return host, port


def _guest(state: State, address: str) -> str:
    """Where the container answers that plays the guest of this address; any other address as it is."""
    for name, distribution in state.wsl_distributions.items():
        own = distribution.get("address")
        if address == own or address in _addresses(distribution["guest"]):
            # The container answers on; a distribution that is not running would not.
            if distribution["state"] != "Running":
                raise ConnectionRefusedError(f"the WSL distribution '{name}' is not running")
            return str(distribution["guest"]) if address == own else address
    if address.startswith(wsl.NETWORK):
        raise ConnectionRefusedError(f"no guest has the address {address} since WSL started last")
    return address


def _addresses(guest: str) -> set[str]:
    try:
        return {guest, socket.gethostbyname(guest)}
    except OSError:
        return {guest}


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
