"""What no script of ours may hold, why, and a piece of code that each ban bites on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from tree_sitter import Node

from . import tree

Finder = Callable[[Node], Iterator[Node]]


@dataclass(frozen=True)
class Ban:
    """`find` yields the places; `examples` are pieces of code that have one."""

    why: str
    find: Finder
    examples: tuple[str, ...]


# Verbs of commands that change nothing outside of the script.
READING = frozenset(
    {
        *("compare", "convert", "convertfrom", "convertto", "foreach", "format", "get", "group", "join"),
        *("measure", "out", "resolve", "select", "sort", "split", "test", "where", "write"),
    }
)
# The other way about: these write, or make nothing but an object.
READING_COMMANDS = frozenset(
    {
        "add-member",
        "export-modulemember",
        "import-module",
        "invoke-wsl",
        "new-object",
        "new-timespan",
        "nvidia-smi.exe",
        "set-strictmode",
    }
)
WRITING_COMMANDS = frozenset({"format-volume", "out-file", "write-eventlog"})
# Programs that change something, unless they are asked to show it.
CHANGING_PROGRAMS = frozenset(
    {"appcmd.exe", "icacls.exe", "msiexec.exe", "netsh.exe", "reg.exe", "sc.exe", "schtasks.exe", "wacs.exe"}
)
SHOWING = frozenset({"show", "list", "query", "/query", "qc"})
# wsl.exe runs commands in the guest; these are about the guest itself.
CHANGING_WSL = frozenset(
    {f"--{what}" for what in ("import", "install", "set-default", "shutdown", "terminate")}
)
CHANGING_METHODS = frozenset(
    {
        *("commitchanges", "copy", "createdirectory", "delete", "deletevalue", "move", "replace", "setvalue"),
        *("writealllines", "writealltext"),
    }
)
# Whether there is such a thing is asked in no other way.
ASKING = frozenset({"get-command", "get-scheduledtask"})


def _named(*names: str) -> Finder:
    wanted = {name.lower() for name in names}

    def find(root: Node) -> Iterator[Node]:
        return (command for name, command in tree.commands(root) if name.lower() in wanted)

    return find


def _matching(pattern: str, kinds: tuple[str, ...] = ()) -> Finder:
    compiled = re.compile(pattern, re.IGNORECASE)

    def find(root: Node) -> Iterator[Node]:
        for node in tree.walk(root):
            leaf = not node.children and node.type != "comment" and "string" not in node.type
            if (node.type in kinds if kinds else leaf) and compiled.search(tree.text(node)):
                yield node

    return find


def _short_names(root: Node) -> Iterator[Node]:
    for name, command in tree.commands(root):
        whole = re.fullmatch(r"[A-Z][A-Za-z]+-[A-Z][A-Za-z]+|[A-Za-z0-9-]+\.exe", name)
        if not whole and tree.child(command, "command_invokation_operator") is None:
            yield command


def _made_of_text(root: Node) -> Iterator[Node]:
    for name, command in tree.commands(root):
        called = tree.child(command, "command_invokation_operator")
        if called is not None and not re.fullmatch(r"[A-Za-z0-9-]+\.exe", name):
            yield command
        words = [word.lower() for word in tree.words(command)]
        if name.lower() in {"cmd.exe", "wscript.exe", "cscript.exe"}:
            yield command
        if name.lower() in {"powershell.exe", "pwsh.exe"} and "-file" not in words:
            yield command
    yield from _matching(r"\[scriptblock\]\s*::\s*Create|\bInvokeScript\b|\bNewScriptBlock\b", _EXPRESSIONS)(
        root
    )


_EXPRESSIONS = ("invokation_expression", "member_access")


def _quiet(root: Node) -> Iterator[Node]:
    for name, command in tree.commands(root):
        words = [word.lower().strip("'\"") for word in tree.words(command)]
        told = {what for word, what in pairwise(words) if re.fullmatch("-(ea|erroraction)", word)}
        if told & {"silentlycontinue", "ignore"} and name.lower() not in ASKING:
            yield command
    for node in tree.of_type(root, "assignment_expression"):
        if re.match(r"\$ErrorActionPreference\s*=\s*.?(SilentlyContinue|Ignore)", tree.text(node), re.I):
            yield node
    for clause in tree.of_type(root, "catch_clause"):
        block = tree.child(clause, "statement_block")
        if block is not None and tree.child(block, "statement_list") is None:
            yield clause


def _passwords(root: Node) -> Iterator[Node]:
    yield from _matching(r"-AsPlainText", ("command_parameter",))(root)
    for parameter in tree.of_type(root, "script_parameter"):
        name = tree.text(tree.child(parameter, "variable"))
        if re.search(r"(passw|secret|token|credential)(?!\w*File$)", name, re.I) and not re.search(
            r"\[(securestring|pscredential|System\.Security\.SecureString)\]", tree.text(parameter), re.I
        ):
            yield parameter
    for node in tree.of_type(root, "assignment_expression"):
        if re.match(r"\$\w*(passw|secret|token)\w*\s*=\s*['\"][^'\"]", tree.text(node), re.I):
            yield node


def changes(root: Node) -> Iterator[Node]:
    """The commands and method calls that change something outside of the script."""
    for name, command in tree.commands(root):
        lower = name.lower()
        if lower in CHANGING_PROGRAMS:
            if not SHOWING & {word.lower().strip("'\"") for word in tree.words(command)}:
                yield command
        elif lower == "wsl.exe":
            if CHANGING_WSL & {word.lower().strip("'\"") for word in tree.words(command)}:
                yield command
        elif lower in WRITING_COMMANDS or (
            "-" in lower and lower not in READING_COMMANDS and lower.partition("-")[0] not in READING
        ):
            yield command
    for call in tree.of_type(root, "invokation_expression"):
        method = tree.child(call, "member_name")
        if tree.text(method).lower() in CHANGING_METHODS and not re.match(r"['\"$]", tree.text(call)):
            yield call


def _inside_own_setter(node: Node) -> bool:
    """In a function whose own name says that it changes something: there, its call is what is looked at."""
    for outer in tree.around(node):
        if outer.type == "function_statement":
            verb = tree.text(tree.child(outer, "function_name")).lower().partition("-")[0]
            return verb not in READING
    return False


def _asked(node: Node) -> bool:
    return any(
        outer.type == "if_statement"
        and re.match(r"if\s*\(\s*\$PSCmdlet\.ShouldProcess\(", tree.text(outer), re.I)
        for outer in tree.around(node)
    )


def changes_unasked(root: Node) -> Iterator[Node]:
    """Changes that check mode would make, too."""
    return (one for one in changes(root) if not _asked(one) and not _inside_own_setter(one))


def says_too_late(root: Node) -> Iterator[Node]:
    """`$Ansible.Changed = $true` where check mode does not come by."""
    for node in tree.of_type(root, "assignment_expression"):
        if re.match(r"\$Ansible\.Changed\s*=\s*\$true", tree.text(node), re.I) and _asked(node):
            yield node


BANS = {
    "text as code": Ban(
        "text is never run as code",
        _named("Invoke-Expression", "iex", "Invoke-Command", "Add-Type"),
        ("Invoke-Expression $x", "iwr 'http://a' | iex", "Get-Content a.ps1 | IEX"),
    ),
    "commands made of text": Ban(
        "a command is a name, its arguments are a list",
        _made_of_text,
        (
            "& $command -Force",
            '& "$folder\\a.exe" x',
            ". $path",
            '[scriptblock]::Create("Get-Item $x")',
            "$ExecutionContext.InvokeCommand.InvokeScript($x)",
            "cmd.exe /c $x",
            "powershell.exe -Command $x",
        ),
    ),
    "short names": Ban(
        "an alias is another command on another machine",
        _short_names,
        ("gci C:\\", "$x | % { $_ }", "$x | ? { $_ }", "cd C:\\", "echo a", "netsh interface show"),
    ),
    "downloads": Ban(
        "downloads belong to Ansible, with a checksum",
        lambda root: (
            node
            for find in (
                _named(
                    "Invoke-WebRequest", "Invoke-RestMethod", "Start-BitsTransfer", "iwr", "irm", "curl.exe"
                ),
                _matching(r"^(DownloadFile|DownloadString|DownloadData)$", ("simple_name",)),
            )
            for node in find(root)
        ),
        ("Invoke-WebRequest -Uri $u", "irm $u", "(New-Object Net.WebClient).DownloadString($u)"),
    ),
    "the console": Ban(
        "nobody reads the console, nobody answers there; the result is an object",
        _named("Write-Host", "Out-Host", "Read-Host", "Pause"),
        ("Write-Host 'done'", "$x = Read-Host"),
    ),
    "restarts": Ban(
        "when the machine may restart is not for a script to say",
        _named("Restart-Computer", "Stop-Computer", "shutdown.exe", "Restart-Service", "iisreset.exe"),
        ("Restart-Computer -Force", "shutdown.exe /r /t 0", "iisreset.exe"),
    ),
    "swallowed errors": Ban(
        "an error that is swallowed is found by the user",
        _quiet,
        (
            "Get-Item -LiteralPath $x -ErrorAction SilentlyContinue",
            "Remove-Item $x -ea Ignore",
            "$ErrorActionPreference = 'SilentlyContinue'",
            "try { Get-Item $x } catch { }",
        ),
    ),
    "passwords as text": Ban(
        "a password is a SecureString: text stands in logs and dumps",
        _passwords,
        (
            "param([string]$Password)",
            "param([Parameter(Mandatory)][string]$PfxPassword)",
            "ConvertTo-SecureString -String $x -AsPlainText -Force",
            "$password = 'x'",
        ),
    ),
    "loosened rules": Ban(
        "the machine's own rules stay as they are",
        _named("Set-ExecutionPolicy", "Disable-UAC"),
        ("Set-ExecutionPolicy Bypass",),
    ),
    "templates": Ban(
        "scripts take parameters, not templates", _matching(r"\{\{", ("program",)), ("$x = '{{ y }}'",)
    ),
    "PowerShell 7": Ban(
        "Windows comes with 5.1",
        _matching(r"\?\?|\|\||&&|^\?$", ()),
        ("Get-Item a || Get-Item b", "Get-Item a && Get-Item b", "$x = $y ?? 1"),
    ),
}


def found(code: str) -> list[str]:
    """A sentence for each banned thing in a script."""
    root = tree.parse(code)
    return [
        f"line {tree.line(node)}: {tree.text(node)[:60]!r}: {ban.why}"
        for ban in BANS.values()
        for node in ban.find(root)
    ]
