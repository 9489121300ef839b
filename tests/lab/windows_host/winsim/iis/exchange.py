"""One request on its way through IIS, and what the modules have made of it so far."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from urllib.parse import unquote

from aiohttp import web
from multidict import CIMultiDict

from ..state import Site, State, Store
from .webconfig import WebConfig


@dataclass
class Exchange:
    """The request as the modules see it.

    `target` is the request target as it came over the wire ("/a%2Fb?x=1"); `path` and `query` are what
    rewriting changes: the decoded path, and the raw query string without its question mark. `headers` is
    what a backend would get.
    """

    request: web.BaseRequest
    store: Store
    state: State
    site_name: str
    site: Site
    port: int
    secure: bool
    target: str
    path: str
    query: str
    headers: CIMultiDict[str]
    config: WebConfig = field(default_factory=WebConfig)
    status: int = 200
    substatus: int = 0
    win32: int = 0
    began: bool = False
    worker: str = ""
    started: float = field(default_factory=time.monotonic)

    @property
    def remote(self) -> tuple[str, int]:
        """Address and port of the client."""
        return _endpoint(self.request, "peername")

    @property
    def local_address(self) -> str:
        return _endpoint(self.request, "sockname")[0]

    @property
    def host(self) -> str:
        """The Host header as the client sent it."""
        return self.request.headers.get("Host", "")


def _endpoint(request: web.BaseRequest, which: str) -> tuple[str, int]:
    name = request.transport.get_extra_info(which) if request.transport else None
    return (str(name[0]), int(name[1])) if name else ("0.0.0.0", 0)  # noqa: S104 - the peer is gone, nothing binds


def split_target(raw: str) -> tuple[str, str]:
    """Target and host of a request line: an absolute form ("http://h/p") names its host itself."""
    scheme, mark, rest = raw.partition("://")
    if not mark or scheme.lower() not in {"http", "https"}:
        return raw, ""
    host, slash, path = rest.partition("/")
    return slash + path or "/", host


def cooked(target: str) -> tuple[str, str]:
    """Decoded path and raw query, as http.sys hands them to the modules.

    Dot segments are resolved after decoding; a decoded slash, forward or backward, is a slash like any
    other, which is why {R:1} cannot carry %2F.
    """
    raw_path, _, query = target.partition("?")
    kept: list[str] = []
    segments = unquote(raw_path).replace("\\", "/").split("/")
    for number, segment in enumerate(segments):
        if segment == "..":
            del kept[max(1, len(kept) - 1) :]
        elif segment != "." or number == 0:
            kept.append(segment)
    if segments[-1] in {".", ".."}:
        kept.append("")
    return "/".join(kept), query
