"""Networks in the form in which Windows' firewall keeps them."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from typing import Any


def firewall_addresses(networks: Iterable[str]) -> str:
    """`192.0.2.0/24` becomes `192.0.2.0/255.255.255.0`: the firewall's COM object shows a network with its mask.

    A rule that is compared with the short form would be written anew on every run. Raises ValueError for what is
    no IPv4 network or address.
    """
    return ",".join(ipaddress.IPv4Network(network).with_netmask for network in networks)


def unusable_networks(networks: Iterable[str]) -> list[str]:
    """Those that are no IPv4 network or address; an address with a prefix that cuts it off is none."""
    return [network for network in networks if not _is_network(network)]


def _is_network(network: str) -> bool:
    try:
        ipaddress.IPv4Network(network)
    except ValueError:
        return False
    return True


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"firewall_addresses": firewall_addresses, "unusable_networks": unusable_networks}
