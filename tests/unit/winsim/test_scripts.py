"""PowerShell is parsed, restrained and modelled before it is shipped."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import tree_sitter_powershell
from tree_sitter import Language, Node, Parser

from tests.lab.windows_host.winsim.scripts import SCRIPTS, TASK_SCRIPTS, Script, TaskScript

from .machine import REPOSITORY

FILES = sorted(
    [*(REPOSITORY / "iis/powershell").glob("*.ps1"), *(REPOSITORY / "roles").glob("*/files/*.ps1")]
)
MODELS: dict[str, Script | TaskScript] = {**SCRIPTS, **TASK_SCRIPTS}
TASKS = {script.path for script in TASK_SCRIPTS.values()}
PARSER = Parser(Language(tree_sitter_powershell.language()))

BANNED = {
    r"\bInvoke-Expression\b|\biex\b": "text is never run as code",
    r"\bWrite-Host\b": "nobody reads the console; use $Ansible.Result",
    r"-ErrorAction\s+Ignore\b": "an error that is swallowed is found by the user",
    r"\bInvoke-WebRequest\b|\bDownload(File|String)\b": "downloads belong to Ansible, with a checksum",
    r"\{\{": "scripts take parameters, not templates",
    r"\?\?|\|\||&&|\s\?\s": "PowerShell 7 only; Windows comes with 5.1",
}


def relative(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def errors(node: Node) -> Iterator[str]:
    if node.type == "ERROR" or node.is_missing:
        yield f"line {node.start_point[0] + 1}: {(node.text or b'')[:60]!r}"
    for child in node.children:
        yield from errors(child)


def code(path: Path) -> str:
    """The text without comments."""
    return re.sub(r"<#.*?#>|(?m:^\s*#[^\n]*$)", "", path.read_text(), flags=re.DOTALL)


def test_there_are_scripts() -> None:
    assert FILES


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_a_script_is_well_formed(path: Path) -> None:
    assert list(errors(PARSER.parse(path.read_bytes()).root_node)) == []


@pytest.mark.parametrize("broken", [b"if ($x) { 1", b'$a = "never closed', b"param([string $x)"])
def test_the_parser_sees_what_is_broken(broken: bytes) -> None:
    assert list(errors(PARSER.parse(broken).root_node)) != []


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_a_script_keeps_to_the_rules(path: Path) -> None:
    text = code(path)
    assert [why for pattern, why in BANNED.items() if re.search(pattern, text)] == []
    assert "Set-StrictMode" in text
    if relative(path) in TASKS:
        assert "$Ansible" not in text, "Task Scheduler runs it, where there is none"
        assert "exit 1" in text, "Task Scheduler shows nothing but the exit code"
    else:
        # Without it win_powershell skips the script in check mode and says "changed".
        assert "[CmdletBinding(SupportsShouldProcess)]" in text
        assert "$Ansible.Changed = $false" in text, (
            "win_powershell says changed unless the script says otherwise"
        )


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_a_script_has_a_model_of_exactly_its_text(path: Path) -> None:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert digest in MODELS, (
        f"{relative(path)} was edited: read its model in winsim/script_models.py again, then record {digest}"
    )
    assert MODELS[digest].path == relative(path)
    declared = re.findall(r"^    \$(\w+)", code(path).partition("\n)\n")[0], flags=re.MULTILINE)
    assert tuple(declared) == MODELS[digest].parameters


def test_no_model_is_left_without_its_script() -> None:
    assert sorted(script.path for script in MODELS.values()) == [relative(path) for path in FILES]
