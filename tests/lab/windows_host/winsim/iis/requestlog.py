r"""The W3C log of a site, C:\inetpub\logs\LogFiles\W3SVC<id>\u_exYYMMDD.log."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from ..applicationhost import LOG_FIELDS, LOG_FIELDS_ATTRIBUTE
from .exchange import Exchange, cooked

DIRECTORY_ATTRIBUTE = "logFile.directory"
DEFAULT_DIRECTORY = r"C:\inetpub\logs\LogFiles"

_FIELDS: dict[str, tuple[str, Callable[[Exchange], str]]] = {
    "Date": ("date", lambda _: datetime.now(UTC).strftime("%Y-%m-%d")),
    "Time": ("time", lambda _: datetime.now(UTC).strftime("%H:%M:%S")),
    "SiteName": ("s-sitename", lambda e: f"W3SVC{e.site.site_id}"),
    "ServerIP": ("s-ip", lambda e: e.local_address),
    "Method": ("cs-method", lambda e: e.request.method),
    "UriStem": ("cs-uri-stem", lambda e: cooked(e.target)[0]),
    "UriQuery": ("cs-uri-query", lambda e: cooked(e.target)[1]),
    "ServerPort": ("s-port", lambda e: str(e.port)),
    "UserName": ("cs-username", lambda _: ""),
    "ClientIP": ("c-ip", lambda e: e.remote[0]),
    "ProtocolVersion": (
        "cs-version",
        lambda e: f"HTTP/{e.request.version.major}.{e.request.version.minor}",
    ),
    "UserAgent": ("cs(User-Agent)", lambda e: e.request.headers.get("User-Agent", "")),
    "Cookie": ("cs(Cookie)", lambda e: e.request.headers.get("Cookie", "")),
    "Referer": ("cs(Referer)", lambda e: e.request.headers.get("Referer", "")),
    "Host": ("cs-host", lambda e: e.host),
    "HttpStatus": ("sc-status", lambda e: str(e.status)),
    "HttpSubStatus": ("sc-substatus", lambda e: str(e.substatus)),
    "Win32Status": ("sc-win32-status", lambda e: str(e.win32)),
    "TimeTaken": ("time-taken", lambda e: str(round((time.monotonic() - e.started) * 1000))),
}


def write(exchange: Exchange) -> None:
    """One line for a finished request. The query string is in it unless the site's fields leave it out."""
    attributes = {name.lower(): value for name, value in exchange.site.attributes.items()}
    chosen = attributes.get(LOG_FIELDS_ATTRIBUTE.lower(), LOG_FIELDS)
    names = chosen if isinstance(chosen, list) else str(chosen).replace(",", " ").split()
    wanted = {str(name).lower() for name in names}
    fields = [field for name, field in _FIELDS.items() if name.lower() in wanted]
    directory = str(attributes.get(DIRECTORY_ATTRIBUTE.lower(), DEFAULT_DIRECTORY))
    directory = directory.replace("%SystemDrive%", "C:")
    now = datetime.now(UTC)
    path = exchange.store.path(rf"{directory}\W3SVC{exchange.site.site_id}\u_ex{now:%y%m%d}.log")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8", errors="surrogateescape") as stream:
        if stream.tell() == 0:
            header = " ".join(name for name, _ in fields)
            stream.write("#Software: Microsoft Internet Information Services 10.0\n#Version: 1.0\n")
            stream.write(f"#Date: {now:%Y-%m-%d %H:%M:%S}\n#Fields: {header}\n")
        stream.write(" ".join(value(exchange).replace(" ", "+") or "-" for _, value in fields) + "\n")
