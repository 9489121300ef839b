"""Whether a command of the documentation can be what it says: targets, options, files that exist."""

from __future__ import annotations

import contextlib
import io
import re
import shlex

from comfystack import InputError, cli, settings

from tests.lab import ports

from .pages import ROOT

MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = dict(re.findall(r"^([a-z-]+):.*?## (.*)$", MAKEFILE, re.MULTILINE))
# What an operator may give to make, and what the lab reads from the environment.
SETTINGS = {
    *re.findall(r"^([A-Z_]+) \?=", MAKEFILE, re.MULTILINE),
    *(f"LAB_{service.upper()}_PORT" for service in ports.PREFERRED),
    "LAB_CARDS",
    "LAB_WINDOWS",
    # Ansible's own.
    "ANSIBLE_VAULT_PASSWORD_FILE",
    # Python's own, and the client's.
    "PYTHONPATH",
    settings.ACCESS,
}
# What `make new-site` asks, and no other target.
(_ANSWERS,) = re.findall(r"^ANSWERS := (.*)$", MAKEFILE, re.MULTILINE)
ANSWERS = set(_ANSWERS.split())
# Programs of any Debian system (and of a WSL guest) that need no check of their own.
PLAIN = {
    *(
        "/usr/lib/wsl/lib/nvidia-smi",
        "apt-get",
        "cat",
        "cd",
        "chmod",
        "cp",
        "curl",
        "docker",
        "echo",
        "git",
        "grep",
    ),
    *(
        "mkdir",
        "openssl",
        "ps",
        "scp",
        "sed",
        "sha256sum",
        "sleep",
        "ssh",
        "ssh-copy-id",
        "systemctl",
        "tail",
        "tee",
        "umask",
    ),
    "done",
}
ROOMS = ("ansible", "build", "comfyui", "compose", "docs", "iis", "inventories", "roles", "tests")
_PATH = re.compile(rf"(?<![\w./-])(?:{'|'.join(ROOMS)})/[\w./-]*\w")
_ASSIGNMENT = re.compile(r"^([A-Za-z_]+)=")
# What somebody else's part of the repository writes below build/<site>/.
_WRITERS = [*ROOT.glob("tests/lab/*.py"), *ROOT.glob("ansible/*.yml"), ROOT / "Makefile"]
_WRITTEN = "\n".join(path.read_text() for path in _WRITERS)


def problems(line: str, made: frozenset[str] = frozenset()) -> list[str]:
    """What is wrong with a line of shell; empty when nothing is. `made` are paths that the page itself makes."""
    found = []
    for words in _commands(line):
        while words and (setting := _ASSIGNMENT.match(words[0])):
            # A lower-case name is a variable of the page's own shell.
            if setting[1].isupper() and setting[1] not in SETTINGS:
                found.append(f"nobody reads {setting[1]}")
            words = words[1:]
        if words:
            found += _of_command(words)
    return found + [f"no {path}" for path in paths(line) if not _exists(path, made)]


def paths(text: str) -> list[str]:
    """The paths into this repository that a text names."""
    return _PATH.findall(text)


def _exists(path: str, made: frozenset[str]) -> bool:
    if path in made:
        return True
    if not path.startswith("build/"):
        return (ROOT / path).exists()
    inside = path.split("/", 2)[2:]
    if path.startswith("build/venv"):
        # Pinned tools and our own console script; the environment that runs this test has them.
        programs = ("ansible", "ansible-vault", "comfystack", "python")
        return path in ("build/venv", *(f"build/venv/bin/{program}" for program in programs))
    return not inside or inside[0].split("/")[-1] in _WRITTEN


def _commands(line: str) -> list[list[str]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|;&")
    lexer.whitespace_split = True
    commands: list[list[str]] = [[]]
    for word in lexer:
        if word and set(word) <= set("|;&"):
            commands.append([])
        else:
            commands[-1].append(word)
    return [words for words in commands if words]


def _of_command(words: list[str]) -> list[str]:
    program, arguments = words[0], words[1:]
    if program == "make":
        return _of_make(arguments)
    if program in ("comfystack", "build/venv/bin/comfystack"):
        return _of_client(arguments)
    if program in ("python3", "build/venv/bin/python"):
        return _of_python(arguments)
    if program == "build/venv/bin/ansible":
        return _of_ansible(arguments)
    if program == "build/venv/bin/ansible-vault":
        known = arguments[:1] in (["encrypt"], ["edit"], ["view"], ["rekey"]) and len(arguments) == 2
        return [] if known else [f"ansible-vault does not take {shlex.join(arguments)}"]
    if program in ("until", "do", "sudo"):
        return _of_command(arguments) if arguments else []
    if program == "export":
        return [f"nobody reads {word}" for word in arguments if word.partition("=")[0] not in SETTINGS]
    return [] if program in PLAIN else [f"unknown program {program}"]


def _of_make(arguments: list[str]) -> list[str]:
    found = []
    known = SETTINGS | ANSWERS if arguments[:1] == ["new-site"] else SETTINGS
    for word in arguments:
        setting = _ASSIGNMENT.match(word)
        if setting and setting[1] not in known:
            found.append(f"make knows no setting {setting[1]}")
        if not setting and word not in TARGETS:
            found.append(f"make has no target {word}")
    return found


def _of_ansible(arguments: list[str]) -> list[str]:
    """One module on a group, asked in the way that the preflight asks it."""
    files = ("preflight.yml", "preflight/docker_host.yml")
    preflight = "".join((ROOT / "ansible" / name).read_text() for name in files)
    group, module = arguments[arguments.index("-i") + 2], arguments[arguments.index("-m") + 1]
    found = [] if f"hosts: {group}\n" in preflight else [f"the preflight asks no hosts {group}"]
    return found + ([] if f": {module}\n" in preflight else [f"the preflight asks with no module {module}"])


def _of_client(arguments: list[str]) -> list[str]:
    # --help prints and ends.
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        try:
            cli._parser().parse_args(arguments)
        except InputError as error:
            return [error.found]
    return []


def _of_python(arguments: list[str]) -> list[str]:
    if arguments[:1] == ["-c"]:
        try:
            compile(arguments[1], "<documentation>", "exec")
        except SyntaxError as error:
            return [f"python: {error}"]
    return []
