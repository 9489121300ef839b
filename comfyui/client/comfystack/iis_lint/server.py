"""What a site needs from the server: applicationHost.config, the pool, the log, the Windows features."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# ARR counts in these; http.sys takes no longer request line with its headers than MaxRequestBytes.
ARR_TIMEOUT_SECONDS = 120
_TIME_SPAN = re.compile(r"(?:(\d+)\.)?(\d{1,2}):(\d{2}):(\d{2})")

_PROXY = "system.webServer/proxy"
_WEBSOCKET = "system.webServer/webSocket"
# section, setting -> what it has to be, and what happens otherwise.
_NEEDED: dict[tuple[str, str], tuple[str, str]] = {
    (_PROXY, "enabled"): ("true", "every request ends as 404.4"),
    (_PROXY, "preserveHostHeader"): ("true", "ComfyUI sees a loopback Host and refuses browsers with 403"),
    (_PROXY, "reverseRewriteHostInResponseHeaders"): ("false", "ARR rewrites the redirects of the backend"),
    (_PROXY, "includePortInXForwardedFor"): ("false", "the client's address carries a port"),
    (_PROXY, "minResponseBuffer"): ("0", "progress is held back until 256 KiB have come"),
    (_PROXY, "arrResponseHeader"): ("false", "every answer names ARR"),
    (f"{_PROXY}/cache", "enabled"): ("false", "ARR's cache answers without looking at query string or token"),
    (_WEBSOCKET, "enabled"): ("true", "no WebSocket is opened"),
}
_POOL = {
    "managedRuntimeVersion": ("", "the pool loads the .NET Framework"),
    "startMode": ("AlwaysRunning", "the first visitor waits for a worker process"),
    "processModel.idleTimeout": ("00:00:00", "an idle site sleeps"),
    "recycling.periodicRestart.time": ("00:00:00", "the daily recycle cuts every WebSocket"),
}


# What is no Windows feature and has an installer of its own -> what happens without it.
_MODULES = {
    "URL Rewrite": "IIS does not know the element rewrite (500.19)",
    "Application Request Routing": "every request ends as 404.4",
}


@dataclass(frozen=True)
class Plan:
    """What the role is about to set beside a web.config, as it hands it to its scripts and modules.

    `server_settings` are objects with section, name and value; `log_fields_removed` and `features` are names,
    `modules` those of what the role insists on beside the features; `pool` and `hsts` map a setting to its value.
    Limits are in bytes and seconds.
    """

    server_settings: Sequence[Mapping[str, Any]]
    allowed_server_variables: Sequence[str]
    features: Sequence[str]
    modules: Sequence[str]
    pool: Mapping[str, Any]
    hsts: Mapping[str, Any]
    log_fields_removed: Sequence[str]
    max_upload_bytes: int
    proxy_timeout_seconds: int
    names: Sequence[str] = field(default_factory=tuple)


def seconds(span: str) -> int | None:
    """A .NET TimeSpan such as 01:00:00 or 1.00:00:00 in seconds; None where it is none."""
    found = _TIME_SPAN.fullmatch(span)
    if found is None:
        return None
    days, hours, minutes, rest = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest


def refusals(plan: Plan) -> list[str]:
    """One sentence for each setting that is missing or wrong."""
    given = {(one["section"], one["name"]): str(one["value"]) for one in plan.server_settings}
    return [*_settings(given), *_times(given, plan), *_others(plan)]


def _settings(given: Mapping[tuple[str, str], str]) -> Iterator[str]:
    for (section, name), (wanted, otherwise) in _NEEDED.items():
        value = given.get((section, name))
        if value is None or value.lower() != wanted:
            yield f"server: {section}/@{name} is {value or 'not set'}, expected {wanted}: otherwise {otherwise}"


def _times(given: Mapping[tuple[str, str], str], plan: Plan) -> Iterator[str]:
    timeout = seconds(given.get((_PROXY, "timeout"), ""))
    if timeout is None or timeout != plan.proxy_timeout_seconds:
        yield (
            f"server: {_PROXY}/@timeout is {given.get((_PROXY, 'timeout'), 'not set')}, expected "
            f"{plan.proxy_timeout_seconds} s: ARR's own {ARR_TIMEOUT_SECONDS} s end a synchronous image request"
        )
    ping = seconds(given.get((_WEBSOCKET, "pingInterval"), ""))
    if not ping:
        yield f"server: {_WEBSOCKET}/@pingInterval is not set: routers forget a silent WebSocket"


def _others(plan: Plan) -> Iterator[str]:
    if not {"Web-WebSockets", "IIS-WebSockets"} & set(plan.features):
        yield "server: the feature Web-WebSockets is not among the features: no WebSocket is opened"
    for module, otherwise in _MODULES.items():
        if not any(one.startswith(module) for one in plan.modules):
            yield f"server: {module} is not among the modules: {otherwise}"
    for name, (wanted, otherwise) in _POOL.items():
        if str(plan.pool.get(name)) != wanted:
            yield f"server: the pool's {name} is {plan.pool.get(name)!r}, expected {wanted!r}: {otherwise}"
    for name, what in (("UriQuery", "a token in ?token="), ("Referer", "a token in the address of the page")):
        if name not in plan.log_fields_removed:
            yield f"server: the log keeps its field {name}: {what} lands in it"
    if str(plan.hsts.get("enabled")).lower() != "true" or not int(plan.hsts.get("max-age", 0)):
        yield "server: HSTS is not enabled with a max-age: browsers ask over plain HTTP again and again"
    if len(set(plan.names)) != len(plan.names):
        yield "server: a public name stands twice in the list of sites"
