"""What may stand in a web.config, with IIS's own defaults.

Names, types, defaults and keys follow IIS_schema.xml and rewrite_schema.xml of IIS 10 and URL Rewrite 2.1;
locks follow the configSections of a fresh applicationHost.config.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Value = str | bool | int
Kind = Literal["string", "bool", "uint", "int"] | tuple[str, ...]


@dataclass(frozen=True)
class Attribute:
    """One attribute: `kind` is a type or the tuple of an enumeration's names."""

    kind: Kind
    default: Value = ""
    required: bool = False
    non_empty: bool = False


@dataclass(frozen=True)
class Collection:
    """Entries of an element; `inherited` are those which applicationHost.config already holds."""

    add: str
    entry: Element
    key: tuple[str, ...] = ()
    can_clear: bool = True
    inherited: tuple[Mapping[str, Value], ...] = ()


@dataclass(frozen=True)
class Element:
    """One element: attributes, child elements that occur at most once, and at most one collection."""

    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    children: Mapping[str, Element] = field(default_factory=dict)
    collection: Collection | None = None
    locked_attributes: frozenset[str] = frozenset()


TEXT = Attribute("string")
KEY = Attribute("string", required=True, non_empty=True)
YES = Attribute("bool", True)
NO = Attribute("bool", False)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _number(default: int, *, required: bool = False) -> Attribute:
    return Attribute("uint", default, required)


def _named(add: str, *names: str, inherited: tuple[str, ...] = (), **attributes: Attribute) -> Collection:
    """A collection keyed by one attribute (the first of `names`)."""
    entry = Element({names[0]: KEY, **dict.fromkeys(names[1:], TEXT), **attributes})
    defaults = {name: a.default for name, a in entry.attributes.items()}
    known = tuple({**defaults, names[0]: value} for value in inherited)
    return Collection(add, entry, (names[0],), inherited=known)


_CONDITION = Element(
    {
        "input": TEXT,
        "matchType": Attribute(("Pattern", "IsFile", "IsDirectory"), "Pattern"),
        "pattern": TEXT,
        "ignoreCase": YES,
        "negate": NO,
    }
)
_RULE = Element(
    {
        "name": KEY,
        "enabled": YES,
        "patternSyntax": Attribute(("ECMAScript", "Wildcard", "ExactMatch"), "ECMAScript"),
        "stopProcessing": NO,
    },
    {
        "match": Element({"url": Attribute("string", non_empty=True), "ignoreCase": YES, "negate": NO}),
        "conditions": Element(
            {"logicalGrouping": Attribute(("MatchAll", "MatchAny"), "MatchAll"), "trackAllCaptures": NO},
            collection=Collection("add", _CONDITION, can_clear=False),
        ),
        "serverVariables": Element(
            collection=Collection(
                "set", Element({"name": KEY, "value": TEXT, "replace": YES}), ("name",), can_clear=False
            )
        ),
        "action": Element(
            {
                "type": Attribute(("None", "Rewrite", "Redirect", "CustomResponse", "AbortRequest"), "None"),
                "url": TEXT,
                "appendQueryString": YES,
                "logRewrittenUrl": NO,
                "redirectType": Attribute(("Permanent", "Found", "SeeOther", "Temporary"), "Permanent"),
                "statusCode": _number(0),
                "subStatusCode": _number(0),
                "statusReason": TEXT,
                "statusDescription": TEXT,
            }
        ),
    },
)
_OUTBOUND_RULE = Element(
    {"name": KEY, "preCondition": TEXT, "enabled": YES, "stopProcessing": NO},
    {
        "match": Element({"serverVariable": TEXT, "filterByTags": TEXT, "pattern": TEXT, "negate": NO}),
        "action": Element({"type": Attribute(("None", "Rewrite"), "None"), "value": TEXT}),
    },
)
_HIDDEN = (
    "web.config",
    "bin",
    "App_code",
    "App_GlobalResources",
    "App_LocalResources",
    "App_WebReferences",
    "App_Data",
    "App_Browsers",
)
_DENIED_EXTENSIONS = _words(
    ".asax .ascx .master .skin .browser .sitemap .config .cs .csproj .vb .vbproj .webinfo .licx .resx "
    ".resources .mdb .vjsproj .java .jsl .ldb .dsdgm .ssdgm .lsad .ssmap .cd .dsprototype .lsaprototype "
    ".sdm .sdmDocument .mdf .ldf .ad .dd .ldd .sd .adprototype .lddprototype .exclude .refresh .compiled "
    ".msgx .vsdisco .rules"
)
_MIME = {
    ".css": "text/css",
    ".gif": "image/gif",
    ".htm": "text/html",
    ".html": "text/html",
    ".ico": "image/x-icon",
    ".jpg": "image/jpeg",
    ".js": "application/javascript",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".xml": "text/xml",
}
_FILTERING = Element(
    {
        "allowDoubleEscaping": NO,
        "allowHighBitCharacters": YES,
        "unescapeQueryString": YES,
        "removeServerHeader": NO,
    },
    {
        "fileExtensions": Element(
            {"allowUnlisted": YES, "applyToWebDAV": YES},
            collection=Collection(
                "add",
                Element({"fileExtension": KEY, "allowed": Attribute("bool", True, required=True)}),
                ("fileExtension",),
                inherited=tuple({"fileExtension": e, "allowed": False} for e in _DENIED_EXTENSIONS),
            ),
        ),
        "requestLimits": Element(
            {
                "maxAllowedContentLength": _number(30_000_000),
                "maxUrl": _number(4096),
                "maxQueryString": _number(2048),
            },
            {
                "headerLimits": Element(
                    collection=_named("add", "header", sizeLimit=_number(0, required=True))
                )
            },
        ),
        "verbs": Element(
            {"allowUnlisted": YES, "applyToWebDAV": YES},
            collection=_named("add", "verb", allowed=Attribute("bool", True, required=True)),
        ),
        "hiddenSegments": Element(
            {"applyToWebDAV": YES}, collection=_named("add", "segment", inherited=_HIDDEN)
        ),
        "denyUrlSequences": Element(collection=_named("add", "sequence")),
        "denyQueryStringSequences": Element(collection=_named("add", "sequence")),
    },
)
_RESPONSE_MODE = Attribute(("File", "ExecuteURL", "Redirect"), "File")
_ERROR = Element(
    {
        "statusCode": _number(0, required=True),
        "subStatusCode": Attribute("int", -1),
        "prefixLanguageFilePath": TEXT,
        "path": KEY,
        "responseMode": _RESPONSE_MODE,
    }
)
# The pages that a fresh IIS names in applicationHost.config: bare ones, for whoever is not on the machine.
_ERRORS: tuple[Mapping[str, Value], ...] = tuple(
    {
        "statusCode": status,
        "subStatusCode": -1,
        "prefixLanguageFilePath": r"%SystemDrive%\inetpub\custerr",
        "path": f"{status}.htm",
        "responseMode": "File",
    }
    for status in (401, 403, 404, 405, 406, 412, 500, 501, 502)
)
_HEADER = Element({"name": KEY, "value": TEXT})

# Sections that a site may set, and that this simulator obeys or knows to be without effect on it.
SECTIONS: dict[str, Element] = {
    "system.webServer/rewrite/rules": Element(
        {"useOriginalURLEncoding": YES}, collection=Collection("rule", _RULE, ("name",))
    ),
    "system.webServer/rewrite/rewriteMaps": Element(
        collection=Collection(
            "rewriteMap",
            Element(
                {"name": KEY, "defaultValue": TEXT, "ignoreCase": YES},
                collection=_named("add", "key", "value"),
            ),
            ("name",),
        )
    ),
    "system.webServer/rewrite/outboundRules": Element(
        collection=Collection("rule", _OUTBOUND_RULE, ("name",))
    ),
    "system.webServer/security/requestFiltering": _FILTERING,
    "system.webServer/httpProtocol": Element(
        {"allowKeepAlive": YES},
        {
            "customHeaders": Element(
                collection=Collection(
                    "add", _HEADER, ("name",), inherited=({"name": "X-Powered-By", "value": "ASP.NET"},)
                )
            ),
            "redirectHeaders": Element(collection=Collection("add", _HEADER, ("name",))),
        },
    ),
    "system.webServer/httpErrors": Element(
        {
            "errorMode": Attribute(("DetailedLocalOnly", "Custom", "Detailed"), "DetailedLocalOnly"),
            "existingResponse": Attribute(("Auto", "Replace", "PassThrough"), "Auto"),
            "defaultPath": TEXT,
            "allowAbsolutePathsWhenDelegated": NO,
        },
        collection=Collection("error", _ERROR, ("statusCode", "subStatusCode"), inherited=_ERRORS),
        locked_attributes=frozenset({"defaultPath", "allowAbsolutePathsWhenDelegated"}),
    ),
    "system.webServer/urlCompression": Element(
        {"doStaticCompression": YES, "doDynamicCompression": YES, "dynamicCompressionBeforeCache": NO}
    ),
    "system.webServer/caching": Element(
        {
            "enabled": YES,
            "enableKernelCache": YES,
            "maxCacheSize": _number(0),
            "maxResponseSize": _number(262_144),
        }
    ),
    "system.webServer/staticContent": Element(
        collection=Collection(
            "mimeMap",
            Element({"fileExtension": KEY, "mimeType": KEY}),
            ("fileExtension",),
            inherited=tuple({"fileExtension": e, "mimeType": m} for e, m in _MIME.items()),
        )
    ),
    "system.webServer/directoryBrowse": Element({"enabled": NO}),
}

# overrideModeDefault="Deny": a site that sets one of these answers 500.19 to everything.
LOCKED = frozenset(
    "system.webServer/" + name
    for name in _words(
        "asp cgi handlers httpLogging httpTracing isapiFilters modules odbcLogging proxy serverRuntime "
        "serverSideInclude webSocket security/access security/applicationDependencies security/ipSecurity "
        "security/dynamicIpSecurity security/authentication/anonymousAuthentication "
        "security/authentication/basicAuthentication security/authentication/digestAuthentication "
        "security/authentication/windowsAuthentication rewrite/allowedServerVariables"
    )
)
# allowDefinition="AppHostOnly": no lock can be lifted for these.
APPLICATION_HOST_ONLY = frozenset(
    {
        "system.webServer/rewrite/globalRules",
        "system.webServer/httpCompression",
        "system.webServer/fastCgi",
        "system.webServer/globalModules",
        "system.webServer/diskCache",
        "system.webServer/security/isapiCgiRestriction",
        "system.applicationHost",
        "webFarms",
    }
)
# Legal in a web.config, but nothing here knows what they would do.
NOT_MODELLED = frozenset(
    {
        "appSettings",
        "configSections",
        "connectionStrings",
        "location",
        "runtime",
        "system.web",
        "system.webServer/applicationInitialization",
        "system.webServer/aspNetCore",
        "system.webServer/defaultDocument",
        "system.webServer/httpRedirect",
        "system.webServer/rewrite/providers",
        "system.webServer/security/authorization",
        "system.webServer/tracing",
        "system.webServer/validation",
    }
)
