"""The inbound rules of URL Rewrite 2.1, distributed (site) level."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

from .errors import AbortedError, IisError, NotModelledError
from .exchange import Exchange
from .variables import Captures, expand, header_name
from .webconfig import Node

_REDIRECTS = {"Permanent": 301, "Found": 302, "SeeOther": 303, "Temporary": 307}
# What URL Rewrite leaves alone when it encodes a path again. "%" is not among them: an escape that the
# rule took from {UNENCODED_URL} becomes %25… unless useOriginalURLEncoding is false.
_UNESCAPED = "/:@!$&'()*+,;=~-._"


@dataclass(frozen=True)
class Redirect:
    """An answer with a Location header."""

    status: int
    location: str


@dataclass(frozen=True)
class Proxied:
    """The request goes to another server: an absolute URL, escaped as it will be sent."""

    url: str


def check(exchange: Exchange) -> None:
    """Refuse rules that set a variable which the server does not allow (HTTP 500.50)."""
    allowed = {name.upper() for name in exchange.state.allowed_server_variables}
    for rule in exchange.config.section("rewrite/rules").entries:
        for variable in rule.children["serverVariables"].entries:
            name = variable.text("name")
            if name.upper() not in allowed:
                raise IisError(
                    500,
                    50,
                    f'URL Rewrite Module Error. The server variable "{name}" is not allowed to be set '
                    f"(rule '{rule.text('name')}'). Add the server variable name to the allowed server "
                    "variable list.",
                )


def apply(exchange: Exchange) -> Redirect | Proxied | None:
    """Run the rules; None means that the request stays on this site, at `exchange.path`."""
    section = exchange.config.section("rewrite/rules")
    encode = section.flag("useOriginalURLEncoding")
    rules = [rule for rule in section.entries if rule.flag("enabled")]
    for number, rule in enumerate(rules):
        captures = _matches(rule, exchange)
        if captures is None:
            continue
        _set_variables(rule, exchange, captures)
        outcome = _act(rule, exchange, captures, encode=encode)
        last = rule.flag("stopProcessing") or number == len(rules) - 1
        if isinstance(outcome, Proxied) and not last:
            raise NotModelledError(f"rule '{rule.text('name')}' proxies without stopProcessing=\"true\"")
        if outcome is not None or last:
            return outcome
    return None


def _matches(rule: Node, exchange: Exchange) -> Captures | None:
    match = rule.children["match"]
    groups = _search(
        rule, match.text("url"), exchange.path.removeprefix("/"), ignore_case=match.flag("ignoreCase")
    )
    if (groups is not None) == match.flag("negate"):
        return None
    return _conditions(rule, exchange, Captures(rule=groups or ()))


def _conditions(rule: Node, exchange: Exchange, captures: Captures) -> Captures | None:
    conditions = rule.children["conditions"]
    if conditions.flag("trackAllCaptures"):
        raise NotModelledError("trackAllCaptures")
    wants_any = conditions.text("logicalGrouping") == "MatchAny"
    for condition in conditions.entries:
        groups = _condition(rule, condition, exchange, captures)
        met = (groups is not None) != condition.flag("negate")
        if met and groups:
            captures = Captures(captures.rule, groups)
        if met and wants_any:
            return captures
        if not met and not wants_any:
            return None
    return None if wants_any and conditions.entries else captures


def _condition(rule: Node, condition: Node, exchange: Exchange, captures: Captures) -> tuple[str, ...] | None:
    value = expand(condition.text("input"), exchange, captures)
    kind = condition.text("matchType")
    if kind == "Pattern":
        return _search(rule, condition.text("pattern"), value, ignore_case=condition.flag("ignoreCase"))
    try:
        path = exchange.store.path(value)
    except ValueError:
        return None
    return () if (path.is_file() if kind == "IsFile" else path.is_dir()) else None


def _search(rule: Node, pattern: str, text: str, *, ignore_case: bool) -> tuple[str, ...] | None:
    syntax = rule.text("patternSyntax")
    if syntax == "ExactMatch":
        same = text.lower() == pattern.lower() if ignore_case else text == pattern
        return (text,) if same else None
    if syntax == "Wildcard":
        pattern = "^" + "(.*)".join(re.escape(part) for part in pattern.split("*")) + "$"
    try:
        # ASCII because ECMAScript's \d and \w know no other letters.
        found = re.search(pattern, text, (re.IGNORECASE if ignore_case else 0) | re.ASCII)
    except re.error as error:
        raise IisError(
            500, 50, f"The expression {pattern!r} of rule '{rule.text('name')}': {error}"
        ) from None
    return (found.group(), *(group or "" for group in found.groups())) if found else None


def _set_variables(rule: Node, exchange: Exchange, captures: Captures) -> None:
    for variable in rule.children["serverVariables"].entries:
        name = variable.text("name").upper()
        if not name.startswith("HTTP_"):
            raise NotModelledError(f"setting the server variable '{name}' (only HTTP_… are modelled)")
        header = header_name(name)
        if variable.flag("replace") or header not in exchange.headers:
            exchange.headers[header] = expand(variable.text("value"), exchange, captures)


def _act(rule: Node, exchange: Exchange, captures: Captures, *, encode: bool) -> Redirect | Proxied | None:
    action = rule.children["action"]
    kind = action.text("type")
    if kind == "None":
        return None
    if kind == "AbortRequest":
        raise AbortedError
    if kind == "CustomResponse":
        raise IisError(
            action.number("statusCode"),
            action.number("subStatusCode"),
            action.text("statusDescription") or action.text("statusReason"),
        )
    url = _target(action, exchange, captures, encode=encode)
    if kind == "Redirect":
        location = url if "://" in url or url.startswith("/") else "/" + url
        return Redirect(_REDIRECTS[action.text("redirectType")], location)
    if re.match(r"https?://", url, re.IGNORECASE):
        return Proxied(url)
    path, _, query = url.partition("?")
    exchange.path, exchange.query = "/" + path.removeprefix("/"), query
    return None


def _target(action: Node, exchange: Exchange, captures: Captures, *, encode: bool) -> str:
    """The action's URL, with the original query string behind it unless the rule says otherwise."""
    url, mark, query = expand(action.text("url"), exchange, captures).partition("?")
    if encode and "://" in url:
        scheme, _, rest = url.partition("://")
        host, slash, path = rest.partition("/")
        url = f"{scheme}://{host}{slash}{quote(path, safe=_UNESCAPED)}"
    parts = [query] if mark else []
    if action.flag("appendQueryString") and exchange.query:
        parts.append(exchange.query)
    return f"{url}?{'&'.join(parts)}" if parts else url
