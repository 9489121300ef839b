"""The kernel's part: which site a request belongs to, and what never reaches IIS at all."""

from __future__ import annotations

import re
from collections.abc import Callable

from ..state import Binding, Site, State
from .errors import HttpSysError

# Registry defaults of http.sys: UrlSegmentMaxLength, UrlSegmentMaxCount, MaxRequestBytes.
SEGMENT_CHARACTERS = 260
SEGMENTS = 255
REQUEST_BYTES = 16_384

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})|%00")


def web_server_installed(state: State) -> bool:
    """IIS is there under its server name (Web-Server) or under its Windows 11 name."""
    return any(state.features.get(name) for name in ("Web-Server", "IIS-WebServerRole", "IIS-WebServer"))


def bindings(state: State, port: int, protocol: str) -> list[tuple[str, Site, Binding]]:
    """What the started sites have registered for a port."""
    if not web_server_installed(state) or state.services.get("W3SVC", {}).get("state") == "stopped":
        return []
    return [
        (name, site, binding)
        for name, site in state.sites.items()
        if site.state.lower() == "started"
        for binding in site.bindings
        if binding.port == port and binding.protocol == protocol
    ]


def listener(
    listeners: dict[str, Callable[[str], str | None]], port: int, protocol: str, target: str
) -> Callable[[str], str | None] | None:
    """What a program has registered for a strong wildcard ("http://+:80/path/"): it goes before every host name."""
    path = target.partition("?")[0]
    fit = [p for p in listeners if f"{protocol}://+:{port}{path}".startswith(p)]
    return listeners.get(max(fit, key=len)) if fit else None


def check_request(target: str, host: str, head_bytes: int) -> None:
    """Raise HttpSysError for requests that http.sys answers by itself."""
    if head_bytes > REQUEST_BYTES:
        raise HttpSysError(
            400, "Bad Request - Request Too Long", "The size of the request headers is too long."
        )
    if not _HOST.fullmatch(host):
        raise HttpSysError(400, "Bad Request - Invalid Hostname", "The request hostname is invalid.")
    path = target.partition("?")[0]
    segments = path.split("/")[1:]
    if (
        (not path.startswith("/") and path != "*")
        or _BAD_ESCAPE.search(path)
        or len(segments) > SEGMENTS
        or any(len(segment) > SEGMENT_CHARACTERS for segment in segments)
    ):
        raise HttpSysError(400, "Bad Request - Invalid URL", "The request URL is invalid.")


def select(state: State, port: int, protocol: str, host: str) -> tuple[str, Site]:
    """The site whose binding wins: the exact host name, else one without a host name.

    A stopped site has no registration, so its requests end here as an unknown host does (404); a stopped
    application pool is known to the kernel and answers 503.
    """
    wanted = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
    candidates = bindings(state, port, protocol)
    for exact in (True, False):
        for name, site, binding in candidates:
            if (binding.hostname.lower() == wanted.lower()) if exact else not binding.hostname:
                _check_pool(state, site)
                return name, site
    raise HttpSysError(404, "Not Found", "The requested resource is not found.")


def _check_pool(state: State, site: Site) -> None:
    pools = {name.lower(): pool for name, pool in state.app_pools.items()}
    pool = pools.get(site.application_pool.lower())
    if pool is None or pool.state.lower() != "started":
        raise HttpSysError(503, "Service Unavailable", "The service is unavailable.")
