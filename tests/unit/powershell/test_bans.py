"""What no script of ours may hold: each ban is seen to bite, and no script gives it cause to."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import bans, tree
from .bans import BANS

ASKS = "if ($PSCmdlet.ShouldProcess('x', 'y')) { "


def relative(path: Path) -> str:
    return str(path.relative_to(tree.REPOSITORY))


def by_ansible(path: Path) -> bool:
    return "$Ansible." in path.read_text()


@pytest.mark.parametrize("path", tree.SCRIPTS, ids=relative)
def test_a_script_is_well_formed(path: Path) -> None:
    assert tree.errors(tree.parse(path.read_text())) == []


@pytest.mark.parametrize("broken", ["if ($x) { 1", '$a = "never closed', "param([string $x)"])
def test_the_parser_sees_what_is_broken(broken: str) -> None:
    assert tree.errors(tree.parse(broken)) != []


@pytest.mark.parametrize("path", tree.SCRIPTS, ids=relative)
def test_a_script_holds_nothing_that_is_banned(path: Path) -> None:
    assert bans.found(path.read_text()) == []


@pytest.mark.parametrize(("name", "example"), [(n, e) for n, ban in BANS.items() for e in ban.examples])
def test_each_ban_bites(name: str, example: str) -> None:
    # Also somewhere inside.
    for code in (example, f"function Get-It {{ if ($a) {{ {example} }} }}"):
        if "param(" in example and code != example:
            continue
        assert list(BANS[name].find(tree.parse(code))), code


@pytest.mark.parametrize(
    "allowed",
    [
        "Get-Command -Name wsl.exe -ErrorAction SilentlyContinue",
        "& netsh.exe @arguments",
        "Get-Item -LiteralPath 'C:\\a && b'  # gci, iex, Write-Host",
        "try { Get-Item $x } catch { throw 'no x' }",
        "param([securestring]$Password)",
        "powershell.exe -NoProfile -File a.ps1",
    ],
)
def test_no_ban_bites_on_what_is_meant(allowed: str) -> None:
    assert bans.found(allowed) == []


@pytest.mark.parametrize("path", [path for path in tree.SCRIPTS if by_ansible(path)], ids=relative)
def test_check_mode_changes_nothing_and_says_what_would_change(path: Path) -> None:
    root = tree.parse(path.read_text())
    assert [tree.text(node) for node in bans.changes_unasked(root)] == []
    assert [tree.line(node) for node in bans.says_too_late(root)] == []
    if list(bans.changes(root)):
        assert "$Ansible.Changed = $true" in path.read_text()
        # A restart is nothing that could be compared.
        assert path.stem.startswith("Restart-") or "$Ansible.Diff = " in path.read_text(), (
            "what is compared before it is set can be shown"
        )


@pytest.mark.parametrize(
    "change",
    [
        "Set-ItemProperty -Path $x -Name y -Value z",
        "New-Item -Path $x",
        "[System.IO.File]::WriteAllText($x, $y)",
        "& netsh.exe interface portproxy set v4tov4",
        "Out-File -FilePath $x",
        "& wsl.exe --shutdown",
    ],
)
def test_a_change_that_check_mode_would_make_is_found(change: str) -> None:
    assert list(bans.changes_unasked(tree.parse(change)))
    assert not list(bans.changes_unasked(tree.parse(f"{ASKS}{change} }}")))
    assert not list(bans.changes_unasked(tree.parse(f"function Set-It {{ {change} }}\n{ASKS}Set-It }}")))
    assert list(bans.changes_unasked(tree.parse(f"function Set-It {{ {change} }}\nSet-It")))
    assert list(bans.changes_unasked(tree.parse(f"function Get-It {{ {change} }}")))


@pytest.mark.parametrize(
    "reading",
    [
        "Get-Item $x",
        "& netsh.exe interface portproxy show v4tov4",
        "$text.Replace('a', 'b')",
        "& wsl.exe --list",
    ],
)
def test_reading_is_no_change(reading: str) -> None:
    assert not list(bans.changes(tree.parse(reading)))


def test_a_change_that_check_mode_would_not_tell_is_found() -> None:
    assert list(bans.says_too_late(tree.parse(f"{ASKS}$Ansible.Changed = $true }}")))
    assert not list(bans.says_too_late(tree.parse(f"{ASKS}Set-It }}\n$Ansible.Changed = $true")))
