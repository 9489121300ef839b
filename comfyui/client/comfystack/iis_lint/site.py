"""What a site's web.config has to say, and must not say, for ComfyStack to work behind ARR."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .document import Element
from .server import Plan

UINT = 2**32 - 1
# http.sys's MaxRequestBytes.
REQUEST_BYTES = 16_384
IIS_QUERY_BYTES = 2048
_ACME = ".well-known/acme-challenge/"
# What a rule has to set, and to what; None: to anything of its own.
_VARIABLES: dict[str, tuple[str | None, str]] = {
    "HTTP_SEC_WEBSOCKET_EXTENSIONS": ("", "ARR 3 drops a WebSocket on which compression was agreed"),
    "HTTP_X_FORWARDED_FOR": ("", "ARR appends the client's address to what the client claims"),
    "HTTP_X_FORWARDED_HOST": (None, "the client's own claim goes through"),
    "HTTP_X_FORWARDED_PROTO": (None, "the client's own claim goes through"),
    "HTTP_X_FORWARDED_PORT": (None, "the client's own claim goes through"),
    "HTTP_FORWARDED": ("", "the client's own claim goes through"),
    "HTTP_X_REAL_IP": ("", "the client's own claim goes through"),
}
_SECRETS = ("HTTP_AUTHORIZATION", "HTTP_X_API_KEY", "HTTP_COOKIE")


def refusals(root: Element, plan: Plan | None, encrypted: bool) -> list[str]:
    """One sentence for each finding in a document that is XML."""
    web = root.section("system.webServer")
    rules = web.section("rewrite/rules")
    proxies = [rule for rule in rules.all("rule") if _proxies(rule)]
    found = [*_rewriting(web, rules, plan), *_order(rules, encrypted), *_limits(web, plan), *_answers(web)]
    for rule in proxies:
        found += _proxy(rule, rules)
    if proxies:
        found += [*_origin(rules, proxies[0]), *_passed_through(web)]
    return [f"line {line}: {text}" for line, text in found]


Finding = tuple[int, str]


def _proxies(rule: Element) -> bool:
    action = rule.section("action")
    return action.text("type") == "Rewrite" and "://" in action.text("url")


def _named(rule: Element) -> str:
    return f"the rule '{rule.text('name')}'"


def _rewriting(web: Element, rules: Element, plan: Plan | None) -> Iterator[Finding]:
    outbound = web.find("rewrite/outboundRules")
    if outbound is not None:
        yield outbound.line, "outbound rules fail on compressed answers (500.52)"
    names: set[str] = set()
    for rule in rules.all("rule"):
        if rule.text("name").lower() in names:
            yield rule.line, f"{_named(rule)} stands there twice (500.19)"
        names.add(rule.text("name").lower())
        for variable in rule.section("serverVariables").all("set"):
            name = variable.text("name").upper()
            if plan is not None and name not in {one.upper() for one in plan.allowed_server_variables}:
                yield variable.line, f"{name} is not on the server's list of allowed variables (500.50)"
        for condition in rule.section("conditions").all("add"):
            if any(secret in condition.text("input").upper() for secret in _SECRETS):
                text = "a secret is no pattern: it would be a regular expression, and stand in this file"
                yield condition.line, f"{_named(rule)} looks at {condition.text('input')}: {text}"


def _order(rules: Element, encrypted: bool) -> Iterator[Finding]:
    every = rules.all("rule")
    first = every[0] if every else rules
    exempt = (
        _ACME in first.section("match").text("url").replace("\\", "")
        and first.section("action").text("type", "None") == "None"
        and first.flag("stopProcessing", False)
    )
    if not exempt:
        text = "or a redirect, or the backend, gets the authority's question for a certificate"
        yield first.line, f"the first rule does not exempt /{_ACME} and stop: it has to, {text}"
    for rule in every:
        action = rule.section("action")
        to_https = action.text("type") == "Redirect" and action.text("url").lower().startswith("https:")
        if to_https and not encrypted:
            text = "nothing answers there before the first certificate is bound"
            yield action.line, f"{_named(rule)} redirects to HTTPS already: {text}"
        if action.text("type") == "Redirect" and "{HTTP_HOST}" in action.text("url"):
            yield action.line, f"{_named(rule)} redirects to the name and port that the client claims"


def _proxy(rule: Element, rules: Element) -> Iterator[Finding]:
    action = rule.section("action")
    url = action.text("url")
    if not re.match(r"http://127\.0\.0\.1:\d{1,5}(?!\d)", url):
        yield action.line, f"the backend is {url}: only http://127.0.0.1:PORT is not tried as IPv6 first"
    if "{R:" in url or "{UNENCODED_URL}" not in url:
        yield action.line, "{UNENCODED_URL} is missing: {R:1} is decoded, and a%2Fb arrives as a/b"
    if action.flag("appendQueryString", True):
        yield action.line, 'appendQueryString is not "false": {UNENCODED_URL} holds the query string already'
    if rules.flag("useOriginalURLEncoding", True):
        yield rules.line, 'useOriginalURLEncoding is not "false": %2F goes out as %252F'
    if not rule.flag("stopProcessing", False):
        yield rule.line, f'{_named(rule)} needs stopProcessing="true"'
    given = {one.text("name").upper(): one for one in rule.section("serverVariables").all("set")}
    for name, (wanted, otherwise) in _VARIABLES.items():
        variable = given.get(name)
        if variable is None:
            yield rule.line, f"{_named(rule)} does not set {name}: {otherwise}"
        elif (wanted is not None and variable.text("value") != wanted) or not variable.flag("replace", True):
            yield variable.line, f"{name} is not replaced by {wanted!r}: {otherwise}"


def _origin(rules: Element, proxy: Element) -> Iterator[Finding]:
    before = rules.all("rule")[: rules.all("rule").index(proxy)]
    for rule in before:
        conditions = rule.section("conditions").all("add")
        inputs = {condition.text("input").upper() for condition in conditions}
        refused = rule.section("action").text("type") in {"CustomResponse", "AbortRequest"}
        negated = any(one.flag("negate", False) for one in conditions)
        if {"{HTTP_UPGRADE}", "{HTTP_ORIGIN}"} <= inputs and refused and negated:
            return
    text = "any page that a signed-in user opens can speak to ComfyUI"
    yield proxy.line, f"no rule before it refuses a WebSocket of a foreign Origin: {text}"


def _limits(web: Element, plan: Plan | None) -> Iterator[Finding]:
    filtering = web.section("security/requestFiltering")
    limits = filtering.section("requestLimits")
    for name in ("maxAllowedContentLength", "maxUrl", "maxQueryString"):
        value = limits.attributes.get(name)
        if value is not None and not (value.isascii() and value.isdigit() and int(value) <= UINT):
            yield limits.line, f"{name} is {value}: IIS counts from 0 to {UINT} (500.19)"
            return
    body = limits.text("maxAllowedContentLength")
    if not body:
        yield limits.line, "maxAllowedContentLength is not set: IIS refuses more than 30000000 bytes (404.13)"
    elif plan is not None and int(body) != plan.max_upload_bytes:
        text = f"the edge and ComfyUI take {plan.max_upload_bytes}"
        yield limits.line, f"maxAllowedContentLength is {body}, but {text}"
    query = int(limits.text("maxQueryString") or IIS_QUERY_BYTES)
    if not 0 < query < REQUEST_BYTES:
        yield limits.line, f"maxQueryString is {query}: no request is longer than {REQUEST_BYTES} bytes"
    elif query <= IIS_QUERY_BYTES:
        yield limits.line, f"maxQueryString is {query}: too short for some clients of ComfyUI (404.15)"
    if not filtering.flag("allowDoubleEscaping", False):
        yield filtering.line, 'allowDoubleEscaping is not "true": a plus in a file name is 404.11'
    for name in ("hiddenSegments", "fileExtensions"):
        if not filtering.section(name).all("clear"):
            yield (
                filtering.line,
                f"{name} are not cleared: a user's file bin/x or notes.config is 404.7 or 404.8",
            )


def _answers(web: Element) -> Iterator[Finding]:
    filtering = web.section("security/requestFiltering")
    if not filtering.flag("removeServerHeader", False):
        yield filtering.line, 'removeServerHeader is not "true": every answer names IIS and its version'
    headers = web.section("httpProtocol/customHeaders")
    if "x-powered-by" not in {one.text("name").lower() for one in headers.all("remove")} and not headers.all(
        "clear"
    ):
        yield headers.line, "X-Powered-By is not removed: every answer says ASP.NET"
    challenges = web.section("staticContent").all("mimeMap")
    if "." not in {one.text("fileExtension") for one in challenges}:
        yield (
            web.line,
            'no mimeMap for ".": IIS serves no file without an extension, and no challenge (404.3)',
        )


def _passed_through(web: Element) -> Iterator[Finding]:
    errors = web.section("httpErrors")
    if errors.text("existingResponse") != "PassThrough":
        yield errors.line, 'existingResponse is not "PassThrough": ComfyUI\'s reasons are replaced by a page'
