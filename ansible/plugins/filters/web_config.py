"""`web_config_refusals`: why IIS would answer every request of a site with HTTP 500.19.

Only what can be known without the host: the file is no XML, or it sets a section that a site may not set. The
locks are those of a fresh applicationHost.config; whether an administrator lifted one is not asked.
"""

from __future__ import annotations

from collections.abc import Callable
from xml.parsers import expat

# overrideModeDefault="Deny".
_LOCKED = frozenset(
    f"system.webServer/{name}"
    for name in (
        *("asp", "cgi", "handlers", "httpLogging", "httpTracing", "isapiFilters", "modules", "odbcLogging"),
        *("proxy", "serverRuntime", "serverSideInclude", "webSocket"),
        *("security/access", "security/applicationDependencies", "security/authentication"),
        *("security/dynamicIpSecurity", "security/ipSecurity", "rewrite/allowedServerVariables"),
    )
)
# allowDefinition="AppHostOnly", and what is no part of a web.config at all.
_SERVER_ONLY = frozenset(
    {
        "system.applicationHost",
        "webFarms",
        *(
            f"system.webServer/{name}"
            for name in (
                *("diskCache", "fastCgi", "globalModules", "hsts", "httpCompression"),
                *("rewrite/globalRules", "security/isapiCgiRestriction"),
            )
        ),
    }
)


def web_config_refusals(text: str) -> list[str]:
    """One line for each thing that IIS refuses in the web.config `text`; empty where it reads it.

    Sections inside a <location> are held to the same locks.
    """
    refusals: list[str] = []
    path: list[str] = []
    parser = expat.ParserCreate()

    def refuse(reason: str) -> None:
        refusals.append(f"line {parser.CurrentLineNumber}: {reason}")

    def start(name: str, _attributes: dict[str, str]) -> None:
        if not path and name != "configuration":
            refuse(f"the file begins with <{name}>, not with <configuration>")
        path.append(name)
        section = "/".join(part for part in path[1:] if part != "location")
        if section in _LOCKED:
            refuse(f"the section {section} is locked: it belongs into applicationHost.config")
        elif section in _SERVER_ONLY:
            refuse(f"the section {section} exists in applicationHost.config only")

    def end(_name: str) -> None:
        path.pop()

    def doctype(*_: object) -> None:
        refuse("a document type is prohibited")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(text.encode(), True)
    except expat.ExpatError as error:
        refusals.append(f"line {error.lineno}: not well-formed XML: {expat.ErrorString(error.code)}")
    except (LookupError, ValueError) as error:
        refusals.append(f"line 1: not in an encoding that can be read: {error}")
    return refusals


class FilterModule:
    """What Ansible looks for in a file of filters."""

    def filters(self) -> dict[str, Callable[[str], list[str]]]:
        return {"web_config_refusals": web_config_refusals}
