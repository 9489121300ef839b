"""ARR's server-level settings as the gateway acts on them; a setting nobody made has its schema's default."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..applicationhost import SCHEMA
from ..state import State
from .errors import NotModelledError


@dataclass(frozen=True)
class ProxySettings:
    """`timeout` in seconds, `min_response_buffer` in KiB."""

    enabled: bool
    preserve_host_header: bool
    timeout: float
    min_response_buffer: int
    include_port: bool
    reverse_rewrite_host: bool
    arr_response_header: bool
    forwarded_for: str


_PROXY = "system.webServer/proxy"
_FIELDS = {
    "enabled": "enabled",
    "preserveHostHeader": "preserve_host_header",
    "timeout": "timeout",
    "minResponseBuffer": "min_response_buffer",
    "includePortInXForwardedFor": "include_port",
    "reverseRewriteHostInResponseHeaders": "reverse_rewrite_host",
    "arrResponseHeader": "arr_response_header",
    "xForwardedForHeaderName": "forwarded_for",
}
# Legal, and without a visible effect on anything the simulator does.
_NO_EFFECT = {"httpVersion", "keepAlive", "maxForwards", "maxResponseHeaderSize", "responseBufferLimit"}
_TIME_SPAN = re.compile(r"(?:(\d+)\.)?(\d{1,2}):(\d{2}):(\d{2}(?:\.\d+)?)")


def read(state: State) -> ProxySettings:
    """The section system.webServer/proxy; raises NotModelledError for a setting it does not know."""
    given = section(state, _PROXY)
    unknown = [name for name in given if name not in _FIELDS and name not in _NO_EFFECT]
    if unknown:
        raise NotModelledError(f"the setting '{unknown[0]}' of {_PROXY}")
    return ProxySettings(**{field: setting(state, _PROXY, name) for name, field in _FIELDS.items()})


def cache_enabled(state: State) -> bool:
    """Whether ARR keeps answers."""
    return bool(setting(state, "system.webServer/proxy/cache", "enabled"))


def websocket_enabled(state: State) -> bool:
    """Whether IIS accepts an upgrade: the feature is installed and the server-level section says so."""
    installed = any(state.features.get(name) for name in ("Web-WebSockets", "IIS-WebSockets"))
    return installed and bool(setting(state, "system.webServer/webSocket", "enabled"))


def setting(state: State, path: str, name: str) -> Any:
    """The value in force, a time span in seconds; raises NotModelledError for one that makes no sense."""
    kind, default = SCHEMA[path][name]
    return _converted(name, section(state, path).get(name, default), kind)


def section(state: State, path: str) -> Mapping[str, Any]:
    """A section of applicationHost.config, found without regard to case."""
    return next((s for name, s in state.server_config.items() if name.lower() == path.lower()), {})


def _converted(name: str, value: Any, kind: str) -> bool | int | float | str:
    text = str(value)
    if kind == "bool" and text.lower() in {"true", "false"}:
        return text.lower() == "true"
    if kind == "timespan" and (match := _TIME_SPAN.fullmatch(text)):
        days, hours, minutes, seconds = (float(group or 0) for group in match.groups())
        return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    if kind == "int" and text.isdigit():
        return int(text)
    if kind == "str":
        return text
    raise NotModelledError(f"the value {value!r} of the setting '{name}'")
