"""Every trap of IIS, URL Rewrite and ARR that the gateway avoids: what avoids it, and how it would be noticed.

A trap is a deployment with one thing taken away. `said` is what the static check has to say of it, `breaks` what a
client then sees, `works` what it does to see it; all are tried in test_traps.py, with the thing and without it.
docs/gateway.md has this table for its readers.
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
    """One thing to take away: text of the web.config, a setting of the server, or something else by name.

    `encrypted` is False where the name has no certificate yet.
    """

    group: str
    name: str
    avoids: str
    said: str
    breaks: str
    works: Works
    find: str = ""
    replace: str = ""
    setting: tuple[str, str] | None = None
    other: str = ""
    encrypted: bool = True


IN_A_RULE = """<conditions><add input="{HTTP_AUTHORIZATION}" pattern="Bearer aBc1" /></conditions>
          <serverVariables>
            <set name="HTTP_AUTHORIZATION" value="Bearer aBc1" />"""
OUTBOUND = """<outboundRules><rule name="x"><match serverVariable="RESPONSE_LOCATION" pattern="x" />
              <action type="Rewrite" value="y" /></rule></outboundRules></rewrite>"""
TO_HTTPS = f"""<rule name="Everything is HTTPS" stopProcessing="true">
          <match url=".*" />
          <conditions><add input="{{HTTPS}}" pattern="^off$" /></conditions>
          <action type="Redirect" url="https://{NAME}{{UNENCODED_URL}}" appendQueryString="false" />
        </rule>
        <rule name="No WebSocket"""
EXEMPT = (
    '<rule name="ACME challenges are answered from this folder" stopProcessing="true">\n          '
    '<match url="^\\.well-known/acme-challenge/" ignoreCase="false" />\n          <action type="None" />\n'
    "        </rule>"
)
FORGED = (
    ("HTTP_X_FORWARDED_FOR", ""),
    ("HTTP_X_FORWARDED_HOST", "{HTTP_HOST}"),
    ("HTTP_X_FORWARDED_PROTO", "{forwarded-scheme:{HTTPS}}"),
    ("HTTP_X_FORWARDED_PORT", "{SERVER_PORT}"),
    ("HTTP_FORWARDED", ""),
    ("HTTP_X_REAL_IP", ""),
)
# Where a web.config would have it -> what it is called there.
LOCKED = {
    "14": ("proxy",),
    "15": ("webSocket",),
    "lock": ("serverRuntime", "handlers", "security/ipSecurity", "rewrite/allowedServerVariables"),
}
SERVER_ONLY = {"12": ("hsts",), "lock": ("httpCompression", "rewrite/globalRules")}


def _misplaced(group: str, section: str, said: str) -> Trap:
    parent, _, name = section.rpartition("/")
    end = f"</{parent}>" if parent else "<httpProtocol>"
    return Trap(
        group,
        f"`{name}` in a web.config",
        "applicationHost.config",
        f"the section system.webServer/{section} {said}",
        "HTTP Error 500.19",
        noticing.page,
        find=end,
        replace=f"<{name} />{end}",
    )


TRAPS = (
    Trap(
        "1",
        "ARR 3 answers 101 and drops a WebSocket on which compression was agreed",
        "rule: `HTTP_SEC_WEBSOCKET_EXTENSIONS` is emptied",
        "does not set HTTP_SEC_WEBSOCKET_EXTENSIONS: ARR 3 drops a WebSocket",
        "the WebSocket ended before its first message",
        noticing.compressed_websocket,
        find='<set name="HTTP_SEC_WEBSOCKET_EXTENSIONS" value="" />',
    ),
    Trap(
        "2",
        "ComfyUI sees a loopback Host, and the page's Origin is another",
        "server: `preserveHostHeader`",
        "preserveHostHeader is not set, expected true: otherwise ComfyUI sees a loopback Host",
        "403 for a page of the public name",
        noticing.browser,
        setting=(PROXY, "preserveHostHeader"),
    ),
    Trap(
        "3",
        "a capture such as `{R:1}` is decoded",
        "rule: `{UNENCODED_URL}`",
        "{UNENCODED_URL} is missing: {R:1} is decoded",
        "the backend was asked for /userdata/a/b",
        noticing.escapes,
        find="8188{UNENCODED_URL}",
        replace="8188/{R:0}",
    ),
    Trap(
        "3",
        "what is encoded already is encoded again",
        'rules: `useOriginalURLEncoding="false"`',
        'useOriginalURLEncoding is not "false": %2F goes out as %252F',
        "the backend was asked for /userdata/a%252Fb",
        noticing.escapes,
        find='<rules useOriginalURLEncoding="false">',
        replace="<rules>",
    ),
    Trap(
        "3",
        "the query string is sent twice",
        'rule: `appendQueryString="false"`',
        'appendQueryString is not "false"',
        "the backend was asked for /userdata/a%2Fb?x=%2F&x=%2F",
        noticing.escapes,
        find='8188{UNENCODED_URL}"\n                  appendQueryString="false"',
        replace='8188{UNENCODED_URL}"',
    ),
    Trap(
        "4",
        "a rule sets a variable that the server does not allow",
        "server: `allowedServerVariables`",
        "HTTP_X_FORWARDED_PROTO is not on the server's list of allowed variables (500.50)",
        "500.50 URL Rewrite Module Error",
        noticing.page,
        other="allowed HTTP_X_FORWARDED_PROTO",
    ),
    Trap(
        "5",
        "the client's address is sent with its port",
        "server: `includePortInXForwardedFor` off",
        "includePortInXForwardedFor is not set, expected false",
        "the backend is told an address with a port",
        noticing.unforged,
        setting=(PROXY, "includePortInXForwardedFor"),
    ),
    *(
        Trap(
            "5",
            "a client invents where it comes from",
            f"rule: `{name}` is replaced",
            f"does not set {name}:",
            f"the backend is told the client's own {name.removeprefix('HTTP_').replace('_', '-').lower()}",
            noticing.unforged,
            find=f'<set name="{name}" value="{value}" />',
        )
        for name, value in FORGED
    ),
    Trap(
        "6",
        "outbound rules meet a compressed answer",
        "there are none",
        "outbound rules fail on compressed answers (500.52)",
        "500.52 URL Rewrite Module Error",
        noticing.compressed_page,
        find="</rewrite>",
        replace=OUTBOUND,
    ),
    Trap(
        "7",
        "a token that was made a pattern fits another one too",
        "nothing is authenticated in IIS; the service api compares",
        "looks at {HTTP_AUTHORIZATION}: a secret is no pattern",
        "the token ABC1 is answered with 200",
        noticing.exact_token,
        find="<serverVariables>",
        replace=IN_A_RULE,
        other="also HTTP_AUTHORIZATION",
    ),
    Trap(
        "8",
        "IIS takes 30,000,000 bytes",
        "`requestLimits`: `maxAllowedContentLength` from `site_max_upload_bytes`",
        "maxAllowedContentLength is not set: IIS refuses more than 30000000 bytes (404.13)",
        "404.13 Content length too large",
        noticing.large_upload,
        find='maxAllowedContentLength="40000000"',
    ),
    Trap(
        "9",
        "IIS takes a query string of 2,048 bytes",
        "`requestLimits`: `maxQueryString`",
        "maxQueryString is 2048: too short for some clients of ComfyUI (404.15)",
        "404.15 Query string too long",
        noticing.long_query,
        find='maxQueryString="8192"',
    ),
    Trap(
        "9",
        "a plus in a file's name counts as an attack",
        "`requestFiltering`: `allowDoubleEscaping`",
        'allowDoubleEscaping is not "true"',
        "404.11 URL double escaped",
        noticing.odd_names,
        find='allowDoubleEscaping="true" ',
    ),
    Trap(
        "9",
        "a folder may not be called `bin`",
        "`hiddenSegments`: cleared",
        "hiddenSegments are not cleared",
        "404.8 ",
        noticing.odd_names,
        find='<clear />\n          <add segment="web.config" />',
    ),
    Trap(
        "9",
        "a file may not be called `notes.config`",
        "`fileExtensions`: cleared",
        "fileExtensions are not cleared",
        "404.7 File extension denied",
        noticing.odd_names,
        find='<fileExtensions allowUnlisted="true">\n          <clear />',
        replace='<fileExtensions allowUnlisted="true">',
    ),
    Trap(
        "10",
        "ARR waits 120 s for an answer",
        "server: `timeout` from `site_proxy_timeout_seconds`",
        "timeout is not set, expected 3600 s",
        "502.3 Bad Gateway: The operation timed out",
        noticing.long_job,
        setting=(PROXY, "timeout"),
    ),
    Trap(
        "10",
        "ARR holds back 256 KiB of an answer",
        "server: `minResponseBuffer` 0",
        "minResponseBuffer is not set, expected 0",
        "nothing of the answer came before all of it was there",
        noticing.progress,
        setting=(PROXY, "minResponseBuffer"),
    ),
    Trap(
        "11",
        "`localhost` is tried as IPv6 first",
        "rule: 127.0.0.1",
        "only http://127.0.0.1:PORT is not tried as IPv6 first",
        "500.0 The simulator does not model a backend called 'localhost'",
        noticing.page,
        find="127.0.0.1:8188",
        replace="localhost:8188",
    ),
    Trap(
        "12",
        "browsers ask over plain HTTP again",
        "site: `hsts`",
        "HSTS is not enabled",
        "Strict-Transport-Security is None",
        noticing.strict_transport,
        other="hsts",
    ),
    *(_misplaced("12", one, "exists in applicationHost.config only") for one in SERVER_ONLY["12"]),
    Trap(
        "13",
        "the redirect comes before the certificate",
        "the redirect is written last",
        "redirects to HTTPS already: nothing answers there before the first certificate is bound",
        "visitors are sent to HTTPS, where nothing answers",
        noticing.first_certificate,
        find='<rule name="No WebSocket',
        replace=TO_HTTPS,
        encrypted=False,
    ),
    Trap(
        "13",
        "the authority's question is redirected",
        "rule: challenges are exempt",
        "does not exempt /.well-known/acme-challenge/",
        "301 for the authority's question",
        noticing.challenge,
        find=EXEMPT,
    ),
    Trap(
        "13",
        "a challenge has no extension, and so no type",
        '`staticContent`: a `mimeMap` for "."',
        'no mimeMap for "."',
        "404 for the authority's question 404.3",
        noticing.challenge,
        find='<mimeMap fileExtension="." mimeType="text/plain" />',
    ),
    Trap(
        "13",
        "the redirect leads to what the client claims",
        "rule: the public name, not `{HTTP_HOST}`",
        "redirects to the name and port that the client claims",
        f"sent to https://{NAME}:PORT/x?y",
        noticing.honest_redirect,
        find=f"https://{NAME}{{UNENCODED_URL}}",
        replace="https://{HTTP_HOST}{UNENCODED_URL}",
    ),
    *(_misplaced("14", one, "is locked") for one in LOCKED["14"]),
    *(_misplaced("15", one, "is locked") for one in LOCKED["15"]),
    Trap(
        "15",
        "IIS opens no WebSocket",
        "feature Web-WebSockets",
        "Web-WebSockets is not among the features",
        "the WebSocket was refused with 400",
        noticing.websocket,
        other="feature",
    ),
    Trap(
        "16",
        "a token in `?token=` stands in the log",
        "site: the log without UriQuery and Referer",
        "the log keeps its field UriQuery",
        "the log has the token",
        noticing.clean_log,
        other="log UriQuery",
    ),
    Trap(
        "16",
        "a token in the page's address stands in the log",
        "site: the log without UriQuery and Referer",
        "the log keeps its field Referer",
        "the log has the token",
        noticing.clean_log,
        other="log Referer",
    ),
    *(_misplaced("lock", one, "is locked") for one in LOCKED["lock"]),
    *(_misplaced("lock", one, "exists in applicationHost.config only") for one in SERVER_ONLY["lock"]),
    Trap(
        "farm",
        "`webFarms` in a web.config",
        "no farm: one address behind a name needs none",
        "the section webFarms exists in applicationHost.config only",
        "HTTP Error 500.19",
        noticing.page,
        find="<configuration>",
        replace="<configuration><webFarms />",
    ),
    Trap(
        "farm",
        "a farm knows a server by its address: two ports of one machine are one server",
        "rule: the port itself",
        "the backend is http://backends{UNENCODED_URL}: only http://127.0.0.1:PORT",
        "502.3 Bad Gateway",
        noticing.page,
        find="127.0.0.1:8188{",
        replace="backends{",
    ),
    Trap(
        "pool",
        "the first visitor waits for a worker process",
        "pool: `startMode` AlwaysRunning",
        "the pool's startMode is None",
        "the worker process: started for this request",
        noticing.worker_process,
        other="pool startMode",
    ),
    Trap(
        "pool",
        "a pool without visitors ends after 20 minutes",
        "pool: `idleTimeout` 0",
        "the pool's processModel.idleTimeout is None",
        "the worker process: started for this request, after 1200 s without one",
        noticing.long_silence,
        other="pool processModel.idleTimeout",
    ),
    Trap(
        "pool",
        "every 29 hours the worker process is replaced, and its WebSockets end",
        "pool: `periodicRestart.time` 0",
        "the pool's recycling.periodicRestart.time is None",
        "the WebSocket was cut",
        noticing.long_socket,
        other="pool recycling.periodicRestart.time",
    ),
    Trap(
        "pool",
        "the worker process loads a .NET Framework that nothing uses",
        "pool: No Managed Code",
        "the pool's managedRuntimeVersion is None",
        "the worker process: .NET Framework v4.0 loaded",
        noticing.worker_process,
        other="pool managedRuntimeVersion",
    ),
    Trap(
        "installer",
        "URL Rewrite is not there",
        "installed before anything is written, or refused",
        "URL Rewrite is not among the modules: IIS does not know the element rewrite (500.19)",
        "HTTP Error 500.19",
        noticing.page,
        other="module URL Rewrite",
    ),
    Trap(
        "installer",
        "ARR is not there",
        "installed before anything is written, or refused",
        "Application Request Routing is not among the modules: every request ends as 404.4",
        "404.4 The requested resource has no handler",
        noticing.page,
        other="module Application Request Routing",
    ),
    Trap(
        "more",
        "ARR is there, but its proxy is off",
        "server: `enabled`",
        "proxy/@enabled is not set, expected true",
        "404.4 The requested resource has no handler",
        noticing.page,
        setting=(PROXY, "enabled"),
    ),
    Trap(
        "more",
        "ARR's cache answers one picture for another, and without a token",
        "server: the cache is off",
        "cache/@enabled is not set, expected false",
        "asked for b, got a",
        noticing.own_picture,
        setting=(f"{PROXY}/cache", "enabled"),
    ),
    Trap(
        "more",
        "ARR names itself",
        "server: `arrResponseHeader` off",
        "arrResponseHeader is not set",
        "an answer names ARR/3.0",
        noticing.silence,
        setting=(PROXY, "arrResponseHeader"),
    ),
    Trap(
        "more",
        "ARR rewrites the redirects of the backend",
        "server: `reverseRewriteHostInResponseHeaders` off",
        "reverseRewriteHostInResponseHeaders is not set",
        "the backend's https is not its own",
        noticing.own_moves,
        setting=(PROXY, "reverseRewriteHostInResponseHeaders"),
    ),
    Trap(
        "more",
        "IIS names itself and its version",
        "`requestFiltering`: `removeServerHeader`",
        'removeServerHeader is not "true"',
        "an answer names Microsoft-IIS/10.0",
        noticing.silence,
        find=' removeServerHeader="true"',
    ),
    Trap(
        "more",
        "ASP.NET names itself",
        "`customHeaders`: X-Powered-By is removed",
        "X-Powered-By is not removed",
        "an answer names ASP.NET",
        noticing.silence,
        find='<remove name="X-Powered-By" />',
    ),
    Trap(
        "more",
        "IIS replaces what the backend says of an error",
        "`httpErrors`: PassThrough",
        'existingResponse is not "PassThrough"',
        "ComfyUI's reason did not arrive",
        noticing.own_words,
        find='<httpErrors existingResponse="PassThrough" />',
    ),
    Trap(
        "more",
        "any page that a signed-in user opens speaks to ComfyUI",
        "rule: a WebSocket of a foreign Origin gets 403",
        "no rule before it refuses a WebSocket of a foreign Origin",
        "a page of https://evil.example opened a WebSocket",
        noticing.foreign_websocket,
        find='<action type="CustomResponse"',
        replace='<action type="None"',
    ),
)
