"""Guessing made slow: how many different wrong tokens an address may try within a minute.

Different ones, so that a script with one outdated token shuts nobody else out who shares its address.
"""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable

WINDOW_SECONDS = 60.0
# Addresses, and tokens that were right, that are remembered at most.
KEPT = 4096


class Guesses:
    """Wrong tokens by address, and which right ones came from where."""

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._clock = limit, clock
        self._wrong: OrderedDict[str, dict[str, float]] = OrderedDict()
        self._right: OrderedDict[tuple[str, str], None] = OrderedDict()

    def wait(self, address: str, digest: str) -> int:
        """Seconds until this address may try again, 0 for now. A token that was right from there is never kept out."""
        place = _place(address)
        if (place, digest) in self._right:
            return 0
        recent = self._recent(place)
        if len(recent) < self._limit or digest in recent:
            return 0
        return max(1, round(min(recent.values()) + WINDOW_SECONDS - self._clock()))

    def was_wrong(self, address: str, digest: str) -> None:
        place = _place(address)
        self._right.pop((place, digest), None)
        recent = self._recent(place)
        recent.setdefault(digest, self._clock())
        self._wrong[place] = recent
        self._wrong.move_to_end(place)
        while len(self._wrong) > KEPT:
            self._wrong.popitem(last=False)

    def was_right(self, address: str, digest: str) -> None:
        key = (_place(address), digest)
        self._right[key] = None
        self._right.move_to_end(key)
        while len(self._right) > KEPT:
            self._right.popitem(last=False)

    def _recent(self, place: str) -> dict[str, float]:
        since = self._clock() - WINDOW_SECONDS
        return {digest: at for digest, at in self._wrong.get(place, {}).items() if at > since}


def _place(address: str) -> str:
    """An IPv6 address counts with its neighbours: whoever has one has the whole /64."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(known, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((known, 64), strict=False))
    return str(known)
