"""A web.config as XML with line numbers, and the sections of it that a site may not set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

# overrideModeDefault="Deny" in a fresh applicationHost.config. Whether an administrator lifted one is not asked.
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
_FREE = frozenset(
    f"system.webServer/{name}"
    for name in (
        *("applicationInitialization", "aspNetCore", "caching", "defaultDocument", "directoryBrowse"),
        *("httpErrors", "httpProtocol", "httpRedirect", "rewrite", "security", "staticContent", "tracing"),
        *("urlCompression", "validation", "rewrite/outboundRules", "rewrite/providers"),
        *("rewrite/rewriteMaps", "rewrite/rules", "security/authorization", "security/requestFiltering"),
    )
)
_GROUPS = ("system.webServer", "system.webServer/rewrite", "system.webServer/security")


@dataclass
class Element:
    """One element. `line` is 1-based."""

    name: str
    attributes: dict[str, str]
    line: int
    children: list[Element] = field(default_factory=list)

    def text(self, name: str, default: str = "") -> str:
        return self.attributes.get(name, default)

    def flag(self, name: str, default: bool) -> bool:
        """An attribute of type bool; one that is neither true nor false counts as the default."""
        return {"true": True, "false": False}.get(self.text(name).lower(), default)

    def all(self, name: str) -> list[Element]:
        return [child for child in self.children if child.name == name]

    def find(self, path: str) -> Element | None:
        """The first element at a path such as "rewrite/rules"."""
        here: Element | None = self
        for name in path.split("/"):
            here = next(iter(here.all(name)), None) if here else None
        return here

    def section(self, path: str) -> Element:
        """The element at a path, or an empty one in its place."""
        return self.find(path) or Element(path.rpartition("/")[2], {}, self.line)


def read(text: str) -> tuple[Element | None, list[str]]:
    """The root element, None where this is no XML, and what IIS answers with 500.19."""
    found: list[str] = []
    stack: list[Element] = []
    roots: list[Element] = []
    parser = expat.ParserCreate()

    def start(name: str, attributes: dict[str, str]) -> None:
        element = Element(name, attributes, parser.CurrentLineNumber)
        (stack[-1].children if stack else roots).append(element)
        stack.append(element)

    def end(_name: str) -> None:
        stack.pop()

    def doctype(*_: object) -> None:
        found.append(f"line {parser.CurrentLineNumber}: a document type is prohibited")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(text.encode(), True)
    except expat.ExpatError as error:
        found.append(f"line {error.lineno}: not well-formed XML: {expat.ErrorString(error.code)}")
        return None, found
    except (LookupError, ValueError) as error:
        found.append(f"line 1: not in an encoding that can be read: {error}")
        return None, found
    (root,) = roots
    if root.name != "configuration":
        found.append(f"line {root.line}: the file begins with <{root.name}>, not with <configuration>")
    return root, found + list(_sections(root, ""))


def _sections(element: Element, inside: str) -> Iterator[str]:
    for child in element.children:
        path = inside if child.name == "location" else f"{inside}/{child.name}".lstrip("/")
        if path in _LOCKED:
            yield f"line {child.line}: the section {path} is locked: it belongs into applicationHost.config"
        elif path in _SERVER_ONLY:
            yield f"line {child.line}: the section {path} exists in applicationHost.config only"
        elif inside in _GROUPS and child.name != "location" and path not in _FREE:
            yield f"line {child.line}: IIS has no section {path}"
        if child.name == "location" or path in _GROUPS or path == "system.applicationHost":
            yield from _sections(child, path)
