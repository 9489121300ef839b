"""applicationHost.config at server level: which settings exist, their types and defaults, and what brings them.

Sources: ARR 3.0's arr_schema.xml and IIS 10's IIS_schema.xml, as documented by Microsoft. Both planes read
their defaults here: a script that finds a default in force writes nothing, and the gateway must then act on it.
"""

from __future__ import annotations

import re
from typing import Any

from .machine import ARR_DLL
from .state import Site, State, Store


class UnknownSetting(Exception):
    """There is no such section or attribute on this machine; the text says why."""


# section -> attribute -> (type, default)
SCHEMA: dict[str, dict[str, tuple[str, Any]]] = {
    "system.webServer/proxy": {
        "enabled": ("bool", False),
        "httpVersion": ("str", "PassThrough"),
        "keepAlive": ("bool", True),
        "timeout": ("timespan", "00:02:00"),
        "preserveHostHeader": ("bool", False),
        "reverseRewriteHostInResponseHeaders": ("bool", True),
        "includePortInXForwardedFor": ("bool", True),
        "xForwardedForHeaderName": ("str", "X-Forwarded-For"),
        "arrResponseHeader": ("bool", True),
        # KiB, as responseBufferLimit: up to so much of an answer is held back.
        "minResponseBuffer": ("int", 256),
        "responseBufferLimit": ("int", 4096),
    },
    # ARR caches what the backend allows to be cached, and looks a request up without its query string.
    "system.webServer/proxy/cache": {
        "enabled": ("bool", True),
    },
    "system.webServer/webSocket": {
        "enabled": ("bool", True),
        "receiveBufferLimit": ("int", 4194304),
        "pingInterval": ("timespan", "00:00:00"),
    },
}

# Children of <site>, which is where HSTS lives since Windows build 1709.
SITE_SCHEMA: dict[str, dict[str, tuple[str, Any]]] = {
    "hsts": {
        "enabled": ("bool", False),
        "max-age": ("int", 0),
        "includeSubDomains": ("bool", False),
        "preload": ("bool", False),
        "redirectHttpToHttps": ("bool", False),
    },
}
_SITE = re.compile(r"system\.applicationHost/sites/site\[@name='(?P<name>[^']+)'\]/(?P<child>\w+)")

# The attributes of an application pool that are acted out, each with its type and what a new pool has.
POOL_SCHEMA: dict[str, tuple[str, Any]] = {
    "autoStart": ("bool", True),
    "managedPipelineMode": ("Integrated Classic", "Integrated"),
    "managedRuntimeVersion": ("str", "v4.0"),
    "startMode": ("OnDemand AlwaysRunning", "OnDemand"),
    "processModel.idleTimeout": ("timespan", "00:20:00"),
    "recycling.periodicRestart.time": ("timespan", "1.05:00:00"),
}

# The fields of a site's log, in no order: <siteDefaults>'s logFile/@logExtFileFlags. UriQuery is among them.
LOG_FIELDS = (
    "Date,Time,ClientIP,UserName,ServerIP,Method,UriStem,UriQuery,HttpStatus,Win32Status,TimeTaken,ServerPort,"
    "UserAgent,Referer,HttpSubStatus"
)
LOG_FIELDS_ATTRIBUTE = "logFile.logExtFileFlags"

_TIMESPAN = re.compile(r"(?:(\d+)\.)?([01]?\d|2[0-3]):([0-5]\d):([0-5]\d)")


def timespan(text: str) -> str:
    """A .NET TimeSpan in its constant form ("hh:mm:ss" or "d.hh:mm:ss"); raises ValueError."""
    found = _TIMESPAN.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is no time span (hh:mm:ss or d.hh:mm:ss)")
    days = f"{int(found[1])}." if found[1] else ""
    return f"{days}{int(found[2]):02d}:{found[3]}:{found[4]}"


def seconds(text: str) -> int:
    """The length of such a TimeSpan."""
    found = _TIMESPAN.fullmatch(text)
    assert found, text
    days, hours, minutes, rest = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest


def _attribute(section: str, name: str) -> tuple[str, Any]:
    of_site = _SITE.fullmatch(section)
    known = SITE_SCHEMA.get(of_site["child"], {}) if of_site else SCHEMA.get(section, {})
    if name not in known:
        raise UnknownSetting("the Windows simulator's schema in applicationhost.py has no such setting")
    return known[name]


def convert(section: str, name: str, value: Any) -> Any:
    """A value as the setting's own type; raises UnknownSetting or ValueError."""
    kind, _ = _attribute(section, name)
    text = str(value)
    if kind == "bool":
        if text.lower() not in ("true", "false"):
            raise ValueError(f"{text!r} is neither true nor false")
        return text.lower() == "true"
    if kind == "int":
        return int(text)
    return timespan(text) if kind == "timespan" else text


def read_setting(state: State, store: Store, section: str, name: str) -> Any:
    """The value in force: what was set, or the schema's default; raises UnknownSetting."""
    if section.startswith("system.webServer/proxy") and not store.path(ARR_DLL).is_file():
        raise UnknownSetting("Application Request Routing is not installed")
    if section == "system.webServer/webSocket" and not state.features.get("Web-WebSockets"):
        raise UnknownSetting("the Windows feature Web-WebSockets is not installed")
    _, default = _attribute(section, name)
    if of_site := _SITE.fullmatch(section):
        return _site(state, of_site).attributes.get(f"{of_site['child']}.{name}", default)
    return state.server_config.get(section, {}).get(name, default)


def write_setting(state: State, section: str, name: str, value: Any) -> None:
    """Set what `read_setting` has found."""
    if of_site := _SITE.fullmatch(section):
        _site(state, of_site).attributes[f"{of_site['child']}.{name}"] = value
    else:
        state.server_config.setdefault(section, {})[name] = value


def _site(state: State, found: re.Match[str]) -> Site:
    # XPath compares names with regard to case.
    if found["name"] not in state.sites:
        raise UnknownSetting(f"IIS has no site '{found['name']}'")
    return state.sites[found["name"]]


def show(value: Any) -> str:
    """A value as PowerShell prints it."""
    return str(value)
