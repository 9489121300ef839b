"""Writes the inventory of a new site from ansible/site_template/, from answers given or asked for.

usage: new_site.py [NAME=…] [PUBLIC_NAME=…] [GUEST=USER@HOST[:PORT]|local] [WINDOWS=USER@HOST[:PORT]] [CARD=…]
                   [MODELS=PATH]

What is not given is asked, where somebody can answer. Nothing that exists is overwritten.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from string import Template

ROOT = Path(__file__).resolve().parents[1]
TEMPLATE = ROOT / "ansible" / "site_template"
# Its files take the place of the template's where Ansible runs in the guest itself.
INSIDE = ROOT / "ansible" / "site_template_inside"
# Folders of build/ that are somebody else's, and the inventory that stands for the lab.
RESERVED = {"lab", "venv", "test-reports", "molecule"}
HOST = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*"
LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"


@dataclass(frozen=True)
class Question:
    """One answer that is needed: how it is asked, what it may be, and what it sets in the template.

    `read` gives the template's values; None where the answer cannot be one.
    """

    text: str
    expected: str
    read: Callable[[str], dict[str, str] | None]
    default: str = ""


def _matching(value: str, pattern: str) -> Callable[[str], dict[str, str] | None]:
    def read(answer: str) -> dict[str, str] | None:
        return {value: answer} if re.fullmatch(pattern, answer) else None

    return read


def _name(answer: str) -> dict[str, str] | None:
    usable = re.fullmatch(r"[a-z][a-z0-9-]{0,30}", answer) and answer not in RESERVED
    return {"name": answer} if usable else None


def _login(whose: str, port: int) -> Callable[[str], dict[str, str] | None]:
    def read(answer: str) -> dict[str, str] | None:
        match = re.fullmatch(
            rf"(?P<user>[A-Za-z_][\w.-]*)@(?P<host>{HOST})(:(?P<port>\d{{1,5}}))?", answer, re.ASCII
        )
        if not match or not 0 < int(match["port"] or port) < 65536:
            return None
        return {
            f"{whose}_user": match["user"],
            f"{whose}_host": match["host"],
            f"{whose}_port": match["port"] or str(port),
        }

    return read


def _guest(answer: str) -> dict[str, str] | None:
    return {"guest_connection": "local"} if answer == "local" else _login("guest", 22)(answer)


QUESTIONS = {
    "NAME": Question(
        "Short name of the site",
        f"lower-case letters, digits and dashes, at most 31, and none of {', '.join(sorted(RESERVED))}",
        _name,
    ),
    "PUBLIC_NAME": Question(
        "Host name under which people will reach it",
        "a full host name in lower case, such as qwen-image-edit.example.org",
        _matching("public_name", rf"(?=.{{1,253}}$)({LABEL}\.)+[a-z][a-z0-9-]*[a-z0-9]"),
    ),
    "GUEST": Question(
        "SSH login at the WSL guest or Docker host, or local where this is the guest itself",
        "USER@HOST or USER@HOST:PORT, such as siteadmin@192.0.2.10:2222, or local",
        _guest,
    ),
    "WINDOWS": Question(
        "WinRM login at the Windows host",
        "USER@HOST or USER@HOST:PORT, such as ansible@192.0.2.10",
        _login("windows", 5986),
    ),
    "CARD": Question(
        "Card that ComfyUI gets, as `nvidia-smi -L` names it",
        "the card's name and no number, such as NVIDIA GeForce RTX 3090",
        _matching("card", r"[A-Za-z][A-Za-z0-9 ().+/-]{2,79}"),
    ),
    "MODELS": Question(
        "Folder on the Docker host with the models",
        "an absolute path without spaces, such as /srv/models",
        _matching("models", r"/[A-Za-z0-9._/-]+"),
        default="/srv/models",
    ),
}


class SiteError(Exception):
    """The inventory cannot be written; the message says what was found, what was expected and what to do."""


def _given(arguments: list[str]) -> dict[str, str]:
    answers = {}
    for argument in arguments:
        key, is_pair, answer = argument.partition("=")
        if key not in QUESTIONS or not is_pair:
            raise SiteError(
                f"found: {argument}\nexpected: {'=… '.join(QUESTIONS)}=…\n"
                'next step: for example `make new-site NAME=mysite CARD="NVIDIA GeForce RTX 3090"`'
            )
        answers[key] = answer.strip()
    return answers


def _ask(key: str, question: Question) -> str:
    hint = f" [{question.default}]" if question.default else f" ({question.expected})"
    while True:
        try:
            answer = input(f"{question.text}{hint}: ").strip() or question.default
        except EOFError:
            raise SiteError(
                f"found: the answers end before {key}\nexpected: {question.expected}\n"
                f"next step: answer it, or give it as {key}=…"
            ) from None
        if question.read(answer) is not None:
            return answer
        print(f"found: {answer or 'nothing'}; expected: {question.expected}")


def values(arguments: list[str], can_ask: bool) -> dict[str, str]:
    """The template's values. Asks for what is missing when `can_ask`; raises SiteError with all that is wrong."""
    answers = _given(arguments)
    found: dict[str, str] = {}
    wrong = []
    for key, question in QUESTIONS.items():
        answer = answers.get(key)
        if answer is None:
            answer = _ask(key, question) if can_ask else question.default
        read = question.read(answer)
        if read is None:
            wrong.append(
                f"found: {f'{key}={answer}' if answer else f'no {key}'}; expected: {question.expected}"
            )
        else:
            found |= read
    if wrong:
        raise SiteError("\n".join([*wrong, "next step: give these again, corrected; nothing was written"]))
    return found


def _files(site: dict[str, str]) -> dict[Path, Path]:
    """The files of the inventory, by their place in it, and the template of each."""
    templates = [TEMPLATE, *([INSIDE] if site.get("guest_connection") == "local" else [])]
    return {
        path.relative_to(template): path
        for template in templates
        for path in sorted(template.rglob("*"))
        if path.is_file()
    }


def write(site: dict[str, str], inventories: Path) -> Path:
    """Writes the inventory and returns its folder, complete or not at all. Raises SiteError where it exists."""
    folder = inventories / site["name"]
    if folder.exists():
        raise SiteError(
            f"found: {folder} exists already\nexpected: a name that is free\n"
            "next step: choose another NAME, or edit what is there; nothing was overwritten"
        )
    # Beside its place, so that it comes there in one step.
    draft = Path(tempfile.mkdtemp(prefix=f".{site['name']}.", dir=inventories))
    try:
        for place, source in _files(site).items():
            target = draft / place
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(Template(source.read_text()).substitute(site))
        draft.chmod(0o755)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def main(arguments: list[str], inventories: Path = ROOT / "inventories") -> int:
    """0 when the inventory is written, 2 when an answer is missing or wrong or the name is taken."""
    try:
        site = values(arguments, sys.stdin.isatty())
        folder = write(site, inventories)
    except SiteError as error:
        print(error, file=sys.stderr)
        return 2
    shown = f"inventories/{site['name']}"
    print(f"""{folder} is written. Next:
  1. Read its files, which say what each setting is for, and correct what is different at your site.
  2. The secrets:
       cp {shown}/group_vars/vault.example.yml {shown}/group_vars/all/vault.yml
     Put your values into the copy, then: build/venv/bin/ansible-vault encrypt {shown}/group_vars/all/vault.yml
  3. The certificates: put the files that group_vars/all/site.yml lists into ~/comfystack/{site["name"]}.
  4. ANSIBLE_VAULT_PASSWORD_FILE=FILE make deploy INVENTORY={shown}""")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
