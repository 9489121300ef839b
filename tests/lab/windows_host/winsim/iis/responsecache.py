"""ARR's cache: answers that the backend lets everybody keep, found again by their path alone.

ARR's own setting for query strings is to ignore them, and nothing here offers another. What it takes for a
hit (GET, 200, a lifetime, not private, no cookie; with Authorization only if public) follows RFC 9111 for
shared caches; the disk, its size and its cleaning are left out.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from multidict import CIMultiDict, CIMultiDictProxy

from . import proxysettings
from .exchange import Exchange

_LIFETIME = re.compile(r"(?:^|[\s,])(?:s-maxage|max-age)=\"?(\d+)", re.IGNORECASE)
_FORBIDDEN = {"private", "no-store", "no-cache"}

Key = tuple[str, str]


@dataclass(frozen=True)
class Kept:
    """One answer as the first client got it; `until` is on the cache's clock, in seconds."""

    headers: CIMultiDict[str]
    body: bytes
    until: float


@dataclass
class Cache:
    """What the machine keeps between requests."""

    clock: Callable[[], float] = time.monotonic
    _kept: dict[Key, Kept] = field(default_factory=dict)

    def find(self, exchange: Exchange, target: str) -> Kept | None:
        """The answer to an earlier request for this path, if one may be used."""
        if not _asks(exchange):
            return None
        kept = self._kept.get(_key(exchange, target))
        return kept if kept and kept.until > self.clock() else None

    def wants(
        self, exchange: Exchange, status: int, received: Mapping[str, str] | CIMultiDictProxy[str]
    ) -> bool:
        """Whether the backend's answer will be kept."""
        return status == 200 and _asks(exchange) and _lifetime(exchange, received) > 0

    def keep(
        self,
        exchange: Exchange,
        target: str,
        received: CIMultiDictProxy[str],
        sent: CIMultiDict[str],
        body: bytes,
    ) -> None:
        headers = CIMultiDict(sent)
        headers["Content-Length"] = str(len(body))
        self._kept[_key(exchange, target)] = Kept(headers, body, self.clock() + _lifetime(exchange, received))


def _asks(exchange: Exchange) -> bool:
    request = exchange.request
    return (
        proxysettings.cache_enabled(exchange.state)
        and request.method == "GET"
        and "Range" not in request.headers
    )


def _key(exchange: Exchange, target: str) -> Key:
    return exchange.site_name, target.partition("?")[0]


def _lifetime(exchange: Exchange, received: Mapping[str, str] | CIMultiDictProxy[str]) -> int:
    control = received.get("Cache-Control", "")
    words = {word.strip().lower() for word in control.split(",")}
    if words & _FORBIDDEN or "Set-Cookie" in received:
        return 0
    if "Authorization" in exchange.request.headers and "public" not in words:
        return 0
    found = _LIFETIME.search(control)
    return int(found[1]) if found else 0
