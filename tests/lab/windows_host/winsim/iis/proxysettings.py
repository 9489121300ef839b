"""ARR's server-level settings, with the defaults of arr_schema.xml."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..state import State
from .errors import NotModelledError


@dataclass(frozen=True)
class ProxySettings:
    """`timeout` in seconds, `min_response_buffer` in KiB."""

    enabled: bool = False
    preserve_host_header: bool = False
    timeout: float = 120.0
    min_response_buffer: int = 256
    include_port: bool = True
    reverse_rewrite_host: bool = True
    arr_response_header: bool = True
    forwarded_for: str = "X-Forwarded-For"


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
    values: dict[str, Any] = {}
    for name, value in section(state, "system.webServer/proxy").items():
        if name in _FIELDS:
            values[_FIELDS[name]] = _converted(name, value, getattr(ProxySettings, _FIELDS[name]))
        elif name not in _NO_EFFECT:
            raise NotModelledError(f"the setting '{name}' of system.webServer/proxy")
    return ProxySettings(**values)


def websocket_enabled(state: State) -> bool:
    """Whether IIS accepts an upgrade: the feature is installed and the server-level section says so."""
    installed = any(state.features.get(name) for name in ("Web-WebSockets", "IIS-WebSockets"))
    enabled = section(state, "system.webServer/webSocket").get("enabled", True)
    return installed and bool(_converted("enabled", enabled, True))


def section(state: State, path: str) -> Mapping[str, Any]:
    """A section of applicationHost.config, found without regard to case."""
    return next((s for name, s in state.server_config.items() if name.lower() == path.lower()), {})


def _converted(name: str, value: Any, default: bool | int | float | str) -> bool | int | float | str:
    text = str(value)
    if isinstance(default, bool) and text.lower() in {"true", "false"}:
        return text.lower() == "true"
    if isinstance(default, float) and (match := _TIME_SPAN.fullmatch(text)):
        days, hours, minutes, seconds = (float(group or 0) for group in match.groups())
        return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    if isinstance(default, int) and not isinstance(default, bool) and text.isdigit():
        return int(text)
    if isinstance(default, str):
        return text
    raise NotModelledError(f"the value {value!r} of the setting '{name}'")
