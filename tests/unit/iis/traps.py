"""Every trap of IIS, URL Rewrite and ARR that the gateway avoids: what avoids it, and how it would be noticed.

A trap is a deployment with one thing taken away. `said` is what the static check has to say of it, `works` what a
client does to notice; both are tried in test_traps.py, with the thing and without it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.unit.iis.machine import NAME, Machine

from . import noticing

Works = Callable[[Machine], Awaitable[None]]
PROXY = "system.webServer/proxy"


@dataclass(frozen=True)
class Trap:
    """One thing to take away: text of the web.config, a setting of the server, or something else by name."""

    name: str
    said: str
    works: Works
    find: str = ""
    replace: str = ""
    setting: tuple[str, str] | None = None
    other: str = ""


IN_A_RULE = """<conditions><add input="{HTTP_AUTHORIZATION}" pattern="Bearer aBc1" /></conditions>
          <serverVariables>
            <set name="HTTP_AUTHORIZATION" value="Bearer aBc1" />"""
TRAPS = (
    Trap(
        "1 compressed WebSocket frames",
        "does not set HTTP_SEC_WEBSOCKET_EXTENSIONS: ARR 3 drops a WebSocket",
        noticing.compressed_websocket,
        find='<set name="HTTP_SEC_WEBSOCKET_EXTENSIONS" value="" />',
    ),
    Trap(
        "2 loopback Host",
        "preserveHostHeader is not set, expected true: otherwise ComfyUI sees a loopback Host",
        noticing.browser,
        setting=(PROXY, "preserveHostHeader"),
    ),
    Trap(
        "3 decoded capture",
        "{UNENCODED_URL} is missing: {R:1} is decoded",
        noticing.escapes,
        find="8188{UNENCODED_URL}",
        replace="8188/{R:0}",
    ),
    Trap(
        "3 encoded twice",
        'useOriginalURLEncoding is not "false": %2F goes out as %252F',
        noticing.escapes,
        find='<rules useOriginalURLEncoding="false">',
        replace="<rules>",
    ),
    Trap(
        "3 query string twice",
        'appendQueryString is not "false"',
        noticing.escapes,
        find='8188{UNENCODED_URL}"\n                  appendQueryString="false"',
        replace='8188{UNENCODED_URL}"',
    ),
    Trap(
        "4 variable not allowed",
        "HTTP_X_FORWARDED_PROTO is not on the server's list of allowed variables (500.50)",
        noticing.page,
        other="allowed HTTP_X_FORWARDED_PROTO",
    ),
    Trap(
        "5 port in the client's address",
        "includePortInXForwardedFor is not set, expected false",
        noticing.unforged,
        setting=(PROXY, "includePortInXForwardedFor"),
    ),
    *(
        Trap(
            f"5 forged {name}",
            f"does not set {name}:",
            noticing.unforged,
            find=f'<set name="{name}" value="{value}" />',
        )
        for name, value in (
            ("HTTP_X_FORWARDED_FOR", ""),
            ("HTTP_X_FORWARDED_HOST", "{HTTP_HOST}"),
            ("HTTP_X_FORWARDED_PROTO", "{forwarded-scheme:{HTTPS}}"),
            ("HTTP_X_FORWARDED_PORT", "{SERVER_PORT}"),
            ("HTTP_FORWARDED", ""),
            ("HTTP_X_REAL_IP", ""),
        )
    ),
    Trap(
        "6 outbound rules",
        "outbound rules fail on compressed answers (500.52)",
        noticing.compressed_page,
        find="</rewrite>",
        replace="""<outboundRules><rule name="x"><match serverVariable="RESPONSE_LOCATION" pattern="x" />
                   <action type="Rewrite" value="y" /></rule></outboundRules></rewrite>""",
    ),
    Trap(
        "7 token in a pattern",
        "looks at {HTTP_AUTHORIZATION}: a secret is no pattern",
        noticing.exact_token,
        find="<serverVariables>",
        replace=IN_A_RULE,
        other="also HTTP_AUTHORIZATION",
    ),
    Trap(
        "8 body over 30000000",
        "maxAllowedContentLength is not set: IIS refuses more than 30000000 bytes (404.13)",
        noticing.large_upload,
        find='maxAllowedContentLength="40000000"',
    ),
    Trap(
        "9 query string over 2048",
        "maxQueryString is 2048: too short for some clients of ComfyUI (404.15)",
        noticing.long_query,
        find='maxQueryString="8192"',
    ),
    Trap(
        "9 double escaping",
        'allowDoubleEscaping is not "true"',
        noticing.odd_names,
        find='allowDoubleEscaping="true" ',
    ),
    Trap(
        "9 hidden segments",
        "hiddenSegments are not cleared",
        noticing.odd_names,
        "<hiddenSegments>\n          <clear />",
        "<hiddenSegments>",
    ),
    Trap(
        "9 file extensions",
        "fileExtensions are not cleared",
        noticing.odd_names,
        '<fileExtensions allowUnlisted="true">\n          <clear />',
        '<fileExtensions allowUnlisted="true">',
    ),
    Trap(
        "10 time-out of 120 s",
        "timeout is not set, expected 3600 s",
        noticing.long_job,
        setting=(PROXY, "timeout"),
    ),
    Trap(
        "10 response buffer",
        "minResponseBuffer is not set, expected 0",
        noticing.progress,
        setting=(PROXY, "minResponseBuffer"),
    ),
    Trap(
        "11 localhost",
        "only http://127.0.0.1:PORT is not tried as IPv6 first",
        noticing.page,
        "127.0.0.1:8188",
        "localhost:8188",
    ),
    Trap(
        "12 HSTS in a web.config",
        "system.webServer/hsts exists in applicationHost.config only",
        noticing.page,
        "<httpProtocol>",
        '<hsts enabled="true" /><httpProtocol>',
    ),
    Trap("12 no HSTS", "HSTS is not enabled", noticing.strict_transport, other="hsts"),
    Trap(
        "13 challenge redirected",
        "does not exempt /.well-known/acme-challenge/",
        noticing.challenge,
        find='<rule name="ACME challenges are answered from this folder" stopProcessing="true">\n          '
        '<match url="^\\.well-known/acme-challenge/" ignoreCase="false" />\n          <action type="None" />\n'
        "        </rule>",
    ),
    Trap(
        "13 challenge without a type",
        'no mimeMap for "."',
        noticing.challenge,
        '<mimeMap fileExtension="." mimeType="text/plain" />',
    ),
    Trap(
        "13 redirect to what the client claims",
        "redirects to the name and port that the client claims",
        noticing.honest_redirect,
        f"https://{NAME}{{UNENCODED_URL}}",
        "https://{HTTP_HOST}{UNENCODED_URL}",
    ),
    Trap(
        "14 proxy in a web.config",
        "the section system.webServer/proxy is locked",
        noticing.page,
        "<httpProtocol>",
        '<proxy enabled="true" /><httpProtocol>',
    ),
    Trap(
        "15 webSocket in a web.config",
        "the section system.webServer/webSocket is locked",
        noticing.page,
        "<httpProtocol>",
        '<webSocket enabled="true" /><httpProtocol>',
    ),
    Trap(
        "15 no WebSocket feature",
        "Web-WebSockets is not among the features",
        noticing.websocket,
        other="feature",
    ),
    Trap("16 token in the log", "the log keeps its field UriQuery", noticing.clean_log, other="log"),
    Trap(
        "proxy not enabled",
        "proxy/@enabled is not set, expected true",
        noticing.page,
        setting=(PROXY, "enabled"),
    ),
    Trap(
        "ARR's cache",
        "cache/@enabled is not set, expected false",
        noticing.own_picture,
        setting=(f"{PROXY}/cache", "enabled"),
    ),
    Trap(
        "ARR names itself",
        "arrResponseHeader is not set",
        noticing.silence,
        setting=(PROXY, "arrResponseHeader"),
    ),
    Trap(
        "rewritten redirects",
        "reverseRewriteHostInResponseHeaders is not set",
        noticing.own_moves,
        setting=(PROXY, "reverseRewriteHostInResponseHeaders"),
    ),
    Trap(
        "IIS names itself", 'removeServerHeader is not "true"', noticing.silence, ' removeServerHeader="true"'
    ),
    Trap(
        "ASP.NET names itself",
        "X-Powered-By is not removed",
        noticing.silence,
        '<remove name="X-Powered-By" />',
    ),
    Trap(
        "errors replaced",
        'existingResponse is not "PassThrough"',
        noticing.own_words,
        '<httpErrors existingResponse="PassThrough" />',
    ),
    Trap(
        "foreign Origin",
        "no rule before it refuses a WebSocket of a foreign Origin",
        noticing.foreign_websocket,
        '<action type="CustomResponse"',
        '<action type="None"',
    ),
)
