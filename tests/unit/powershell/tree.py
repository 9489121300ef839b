"""PowerShell as a tree: what commands a script runs, with which words, and what stands around them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import tree_sitter_powershell
from tree_sitter import Language, Node, Parser

REPOSITORY = Path(__file__).resolve().parents[3]
# Run by Ansible, by Task Scheduler, or by hand: all that ships.
SCRIPTS = sorted([*(REPOSITORY / "iis").rglob("*.ps*1"), *(REPOSITORY / "roles").glob("*/files/*.ps*1")])
_PARSER = Parser(Language(tree_sitter_powershell.language()))


def parse(text: str) -> Node:
    """The root of a script's tree."""
    return _PARSER.parse(text.encode()).root_node


def walk(node: Node) -> Iterator[Node]:
    """A node and everything in it."""
    yield node
    for child in node.children:
        yield from walk(child)


def of_type(node: Node, kind: str) -> Iterator[Node]:
    return (one for one in walk(node) if one.type == kind)


def text(node: Node | None) -> str:
    return (node.text or b"").decode() if node is not None else ""


def line(node: Node) -> int:
    return node.start_point[0] + 1


def errors(root: Node) -> list[str]:
    """What is no PowerShell."""
    return [
        f"line {line(node)}: {text(node)[:60]!r}"
        for node in walk(root)
        if node.type == "ERROR" or node.is_missing
    ]


def child(node: Node, kind: str) -> Node | None:
    return next((one for one in node.children if one.type == kind), None)


def commands(node: Node) -> Iterator[tuple[str, Node]]:
    """Each command with its name as it is written, an operator such as `&` left out."""
    for one in of_type(node, "command"):
        yield text(child(one, "command_name") or child(one, "command_name_expr")), one


def words(command: Node) -> list[str]:
    """What follows the name, as it is written."""
    elements = child(command, "command_elements")
    separators = ("command_argument_sep",)
    return [text(one) for one in elements.children if one.type not in separators] if elements else []


def around(node: Node) -> Iterator[Node]:
    """What a node stands in, from the inside out."""
    while node.parent is not None:
        node = node.parent
        yield node


def without_comments(code: str) -> str:
    return re.sub(r"<#.*?#>|(?m:^\s*#[^\n]*$)", "", code, flags=re.DOTALL)
