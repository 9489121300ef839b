"""A strict reader of web.config files: what IIS would refuse is refused, with IIS's reason."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

from . import schema
from .errors import ConfigError

LOCK_VIOLATION = 0x80070021
ALREADY_EXISTS = 0x800700B7


@dataclass
class Node:
    """A validated element: every attribute of its schema has a value, every known child exists.

    `entries` is the effective collection: what is inherited, less what was cleared or removed, plus what
    the file adds, in the file's order.
    """

    attributes: dict[str, schema.Value]
    children: dict[str, Node] = field(default_factory=dict)
    entries: list[Node] = field(default_factory=list)

    def text(self, name: str) -> str:
        return str(self.attributes[name])

    def flag(self, name: str) -> bool:
        return bool(self.attributes[name])

    def number(self, name: str) -> int:
        return int(self.attributes[name])


@dataclass(frozen=True)
class WebConfig:
    """One site's effective configuration; a section that the file leaves out has IIS's defaults."""

    sections: Mapping[str, Node] = field(default_factory=dict)

    def section(self, path: str) -> Node:
        """`path` is relative to system.webServer: "rewrite/rules", "security/requestFiltering", …"""
        full = f"system.webServer/{path}"
        return self.sections.get(full) or _defaults(schema.SECTIONS[full])


@dataclass
class _Raw:
    name: str
    attributes: dict[str, str]
    line: int
    children: list[_Raw] = field(default_factory=list)


def parse(document: bytes, *, url_rewrite: bool = True) -> WebConfig:
    """The configuration in `document`; raises ConfigError where IIS would answer 500.19.

    Without the URL Rewrite module (`url_rewrite` False) its sections are unknown to IIS.
    """
    root = _read_xml(document)
    if root.name != "configuration":
        raise ConfigError(root.line, f"Unrecognized element '{root.name}': the root must be 'configuration'")
    _no_attributes(root)
    sections: dict[str, Node] = {}
    for child in root.children:
        _collect_sections(child, child.name, sections)
    if not url_rewrite and any(path.startswith("system.webServer/rewrite/") for path in sections):
        raise ConfigError(
            root.line, "Unrecognized element 'rewrite': the URL Rewrite module is not installed"
        )
    return WebConfig(sections)


def _read_xml(document: bytes) -> _Raw:
    parser = expat.ParserCreate()
    stack: list[_Raw] = []
    roots: list[_Raw] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        node = _Raw(name, attributes, parser.CurrentLineNumber)
        (stack[-1].children if stack else roots).append(node)
        stack.append(node)

    def end(_name: str) -> None:
        stack.pop()

    def text(data: str) -> None:
        if data.strip():
            inside = stack[-1].name
            raise ConfigError(parser.CurrentLineNumber, f"text {data.strip()!r} inside element '{inside}'")

    def doctype(*_: object) -> None:
        raise ConfigError(parser.CurrentLineNumber, "a DTD is prohibited in a configuration file")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(document, True)
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        raise ConfigError(error.lineno, f"Configuration file is not well-formed XML: {reason}") from None
    except (LookupError, ValueError) as error:
        raise ConfigError(1, f"Configuration file is not in an encoding that can be read: {error}") from None
    return roots[0]


def _collect_sections(raw: _Raw, path: str, sections: dict[str, Node]) -> None:
    if path in schema.SECTIONS:
        if path in sections:
            raise ConfigError(raw.line, f"section '{path}' is defined twice", ALREADY_EXISTS)
        sections[path] = _element(raw, schema.SECTIONS[path])
    elif path in schema.LOCKED:
        raise ConfigError(
            raw.line,
            f"This configuration section cannot be used at this path: '{path}' is locked at a parent level "
            '(overrideModeDefault="Deny")',
            LOCK_VIOLATION,
        )
    elif path in schema.APPLICATION_HOST_ONLY:
        raise ConfigError(
            raw.line, f"section '{path}' can only be set in applicationHost.config", LOCK_VIOLATION
        )
    elif path in schema.NOT_MODELLED:
        raise ConfigError(raw.line, f"section '{path}' is real, but this simulator does not model it")
    elif _is_group(path):
        _no_attributes(raw)
        for child in raw.children:
            _collect_sections(child, f"{path}/{child.name}", sections)
    else:
        raise ConfigError(raw.line, f"Unrecognized element '{raw.name}' (as '{path}')")


def _is_group(path: str) -> bool:
    everything = (schema.SECTIONS.keys(), schema.LOCKED, schema.APPLICATION_HOST_ONLY, schema.NOT_MODELLED)
    return any(name.startswith(path + "/") for names in everything for name in names)


def _no_attributes(raw: _Raw) -> None:
    # IIS accepts xmlns on the root; editors of old put it there.
    extra = [name for name in raw.attributes if name != "xmlns"]
    if extra:
        raise ConfigError(raw.line, f"Unrecognized attribute '{extra[0]}' on '{raw.name}'")


def _defaults(shape: schema.Element) -> Node:
    inherited = shape.collection.inherited if shape.collection else ()
    return Node(
        {name: attribute.default for name, attribute in shape.attributes.items()},
        {name: _defaults(child) for name, child in shape.children.items()},
        [Node(dict(entry)) for entry in inherited],
    )


def _element(raw: _Raw, shape: schema.Element) -> Node:
    node = _defaults(shape)
    node.attributes.update(_attributes(raw, shape))
    seen: set[str] = set()
    for child in raw.children:
        if child.name in shape.children:
            if child.name in seen:
                raise ConfigError(child.line, f"Element '{child.name}' may only appear once in '{raw.name}'")
            seen.add(child.name)
            node.children[child.name] = _element(child, shape.children[child.name])
        elif shape.collection is not None:
            _entry(child, raw, shape.collection, node.entries)
        else:
            raise ConfigError(child.line, f"Unrecognized element '{child.name}' in '{raw.name}'")
    return node


def _entry(child: _Raw, parent: _Raw, collection: schema.Collection, entries: list[Node]) -> None:
    if child.name == "clear" and collection.can_clear:
        entries.clear()
    elif child.name == "remove" and collection.can_clear:
        defaults = collection.entry.attributes
        wanted = tuple(
            child.attributes.get(name, str(defaults[name].default)).lower() for name in collection.key
        )
        entries[:] = [e for e in entries if _key(e, collection) != wanted]
    elif child.name == collection.add:
        node = _element(child, collection.entry)
        if collection.key and any(_key(e, collection) == _key(node, collection) for e in entries):
            values = ", ".join(node.text(name) for name in collection.key)
            raise ConfigError(
                child.line,
                f"Cannot add duplicate collection entry of type '{collection.add}' in '{parent.name}' with "
                f"unique key attribute '{', '.join(collection.key)}' set to '{values}'",
                ALREADY_EXISTS,
            )
        entries.append(node)
    else:
        raise ConfigError(child.line, f"Unrecognized element '{child.name}' in '{parent.name}'")


def _key(node: Node, collection: schema.Collection) -> tuple[str, ...]:
    return tuple(node.text(name).lower() for name in collection.key)


def _attributes(raw: _Raw, shape: schema.Element) -> dict[str, schema.Value]:
    values: dict[str, schema.Value] = {}
    for name, text in raw.attributes.items():
        if name not in shape.attributes:
            raise ConfigError(raw.line, f"Unrecognized attribute '{name}' on '{raw.name}'")
        if name in shape.locked_attributes:
            raise ConfigError(raw.line, f"attribute '{name}' of '{raw.name}' is locked", LOCK_VIOLATION)
        values[name] = _value(raw, name, text, shape.attributes[name])
    for name, attribute in shape.attributes.items():
        if attribute.required and name not in values:
            raise ConfigError(raw.line, f"Required attribute '{name}' is missing on '{raw.name}'")
    return values


def _value(raw: _Raw, name: str, text: str, attribute: schema.Attribute) -> schema.Value:
    kind = attribute.kind
    if attribute.non_empty and not text:
        raise ConfigError(raw.line, f"The '{name}' attribute of '{raw.name}' must not be empty")
    if kind == "bool" and text.lower() in {"true", "false"}:
        return text.lower() == "true"
    if kind == "uint" and text.isascii() and text.isdigit() and int(text) <= 0xFFFFFFFF:
        return int(text)
    if kind == "int" and re.fullmatch(r"-?[0-9]{1,9}", text):
        return int(text)
    if kind == "string" or (isinstance(kind, tuple) and text in kind):
        return text
    wanted = f"one of {', '.join(kind)}" if isinstance(kind, tuple) else f"a {kind}"
    raise ConfigError(raw.line, f"The '{name}' attribute of '{raw.name}' is {text!r}, expected {wanted}")
