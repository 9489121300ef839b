"""URL Rewrite's server variables, and the strings that are built from them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, unquote

from .errors import NotModelledError
from .exchange import Exchange

_HEADER = "HTTP_"


@dataclass(frozen=True)
class Captures:
    """What {R:n} and {C:n} stand for: the groups of the rule's pattern and of its last matched condition."""

    rule: tuple[str, ...] = ()
    condition: tuple[str, ...] = ()


def header_name(variable: str) -> str:
    """The request header behind a server variable: HTTP_X_FORWARDED_FOR is X-Forwarded-For."""
    return variable[len(_HEADER) :].replace("_", "-").title()


def lookup(exchange: Exchange, variable: str) -> str:
    """The value of a server variable; an absent header is empty, as in IIS.

    Raises NotModelledError for a name that is no header and that the simulator does not know.
    """
    name = variable.upper()
    if name in _VARIABLES:
        return _VARIABLES[name](exchange)
    if name.startswith(_HEADER):
        return ", ".join(exchange.headers.getall(header_name(name), []))
    raise NotModelledError(f"server variable {{{variable}}}")


def _physical_path(exchange: Exchange) -> str:
    return exchange.site.physical_path.rstrip("\\") + exchange.path.replace("/", "\\")


def _request_uri(exchange: Exchange) -> str:
    return f"{exchange.path}?{exchange.query}" if exchange.query else exchange.path


_VARIABLES: dict[str, Callable[[Exchange], str]] = {
    "HTTPS": lambda e: "on" if e.secure else "off",
    "LOCAL_ADDR": lambda e: e.local_address,
    "PATH_INFO": lambda e: e.path,
    "QUERY_STRING": lambda e: e.query,
    "REMOTE_ADDR": lambda e: e.remote[0],
    "REMOTE_HOST": lambda e: e.remote[0],
    "REMOTE_PORT": lambda e: str(e.remote[1]),
    "REQUEST_FILENAME": _physical_path,
    "REQUEST_METHOD": lambda e: e.request.method,
    "REQUEST_URI": _request_uri,
    "SCRIPT_NAME": lambda e: e.path,
    "SERVER_NAME": lambda e: e.host.rsplit(":", 1)[0],
    "SERVER_PORT": lambda e: str(e.port),
    "SERVER_PORT_SECURE": lambda e: "1" if e.secure else "0",
    "UNENCODED_URL": lambda e: e.target,
    "URL": lambda e: e.path,
}

_FUNCTIONS: dict[str, Callable[[str], str]] = {
    "TOLOWER": str.lower,
    "URLENCODE": lambda text: quote(text, safe=""),
    "URLDECODE": unquote,
}


def expand(template: str, exchange: Exchange, captures: Captures) -> str:
    """`template` with every {…} replaced: {R:1}, {C:1}, {HTTP_HOST}, {ToLower:…}, {map:key}."""
    text, rest = _expand(template, exchange, captures, depth=0)
    return text + rest


def _expand(template: str, exchange: Exchange, captures: Captures, depth: int) -> tuple[str, str]:
    """Text up to the brace that closes this level, and what follows it."""
    done = ""
    while match := re.search(r"[{}]", template):
        done += template[: match.start()]
        template = template[match.end() :]
        if match.group() == "}":
            if depth:
                return done, template
            raise NotModelledError("a '}' without its '{' in a rewrite string")
        inner, template = _expand(template, exchange, captures, depth + 1)
        done += _resolve(inner, exchange, captures)
    if depth:
        raise NotModelledError("a '{' without its '}' in a rewrite string")
    return done + template, ""


def _resolve(reference: str, exchange: Exchange, captures: Captures) -> str:
    kind, colon, argument = reference.partition(":")
    if not colon:
        return lookup(exchange, reference)
    if kind.upper() in {"R", "C"} and argument.isdigit():
        groups = captures.rule if kind.upper() == "R" else captures.condition
        return groups[int(argument)] if int(argument) < len(groups) else ""
    if kind.upper() in _FUNCTIONS:
        return _FUNCTIONS[kind.upper()](argument)
    return _mapped(kind, argument, exchange)


def _mapped(name: str, key: str, exchange: Exchange) -> str:
    for table in exchange.config.section("rewrite/rewriteMaps").entries:
        if table.text("name").lower() == name.lower():
            wanted = key.lower() if table.flag("ignoreCase") else key
            for entry in table.entries:
                found = entry.text("key")
                if (found.lower() if table.flag("ignoreCase") else found) == wanted:
                    return entry.text("value")
            return table.text("defaultValue")
    raise NotModelledError(f"rewrite map or function '{name}' in {{{name}:{key}}}")
