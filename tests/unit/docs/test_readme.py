"""What the README and the guides tell an operator to type exists, and what they name is there."""

from __future__ import annotations

import re
import runpy
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.lab import ports

from . import commands, pages
from .pages import GUIDES, PAGES, README, ROLE_PAGES, ROLES, ROOT

# Made by the reader, as docs/your-first-site.md says: what `make new-site` writes, and the Vault.
_TEMPLATE = ROOT / "ansible" / "site_template"
_WRITTEN = [path.relative_to(_TEMPLATE).as_posix() for path in _TEMPLATE.rglob("*") if path.is_file()]
THE_READERS = frozenset(
    {
        "inventories/mysite",
        *(f"inventories/mysite/{file}" for file in [*_WRITTEN, "group_vars/all/vault.yml"]),
    }
)


def made_on(page: Path) -> frozenset[str]:
    """Paths below build/ that the page's own commands write, and the site that its reader invents."""
    text = "\n".join(block.text for block in pages.blocks(page, "sh"))
    written = re.findall(r"(?:> |mkdir -p )(build/\S+)", text)
    return THE_READERS | frozenset(written)


@pytest.mark.parametrize("page", PAGES, ids=pages.name)
def test_every_command_can_be_typed(page: Path) -> None:
    shell = pages.blocks(page, "sh", "console")
    for block in shell:
        done = subprocess.run(["bash", "-n"], input=block.text, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
    lines = [line for block in shell for line in pages.command_lines(block.text)]
    # Inside a sentence, `make …` is a command, too.
    sentences = pages.spans(pages.prose(page))
    lines += [span for span in sentences if re.fullmatch(r"make [a-z-]+( [A-Z_]+=\S+)*", span)]
    found = {line: commands.problems(line, made_on(page)) for line in lines}
    assert not {line: what for line, what in found.items() if what}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("make deplyo", "make has no target deplyo"),
        ("make deploy INVENTROY=inventories/lab", "make knows no setting INVENTROY"),
        ("make deploy CARD=x", "make knows no setting CARD"),
        ("make new-site CARDS=x", "make knows no setting CARDS"),
        ("LAB_NAMES=x make lab-up", "nobody reads LAB_NAMES"),
        ("export ANSIBLE_VAULT_PASSWORD=x", "nobody reads ANSIBLE_VAULT_PASSWORD"),
        ("build/venv/bin/ansible-vault encypt inventories/lab", "ansible-vault does not take encypt"),
        ("build/venv/bin/ansible -i inventories/lab guests -m ansible.builtin.ping", "asks no hosts guests"),
        ("build/venv/bin/ansible -i inventories/lab gpu_hosts -m win_ping", "asks with no module win_ping"),
        ("sudo frobnicate", "unknown program frobnicate"),
        ("cat inventories/mysite/vault.yml", "no inventories/mysite/vault.yml"),
        ("make deploy INVENTORY=inventories/nowhere", "no inventories/nowhere"),
        ("comfystack edit a.png --prompt x --output b.png", "the following arguments are required: --out"),
        ("build/venv/bin/comfystack redit", "invalid choice: 'redit'"),
        ("curl -K build/lab/nothing.conf https://x | frobnicate", "unknown program frobnicate"),
        ("cat build/lab/secret-of-nobody", "no build/lab/secret-of-nobody"),
        ("python3 -c 'import ('", "python: "),
    ],
)
def test_a_command_that_cannot_work_is_found(line: str, problem: str) -> None:
    assert problem in "\n".join(commands.problems(line))


def test_the_table_of_targets_is_the_makefiles_own_menu() -> None:
    rows = pages.table(README, "target", "what it does")
    assert {row[0].strip("`").removeprefix("make "): row[1] for row in rows} == commands.TARGETS


def test_the_curl_line_is_the_one_that_a_deployment_prints() -> None:
    address = f"127.0.0.1:{ports.PREFERRED['https']}"
    access = {
        "url": "https://qwen-image-edit.comfystack.test",
        "connect_to": {"qwen-image-edit.comfystack.test": address},
        "ca_file": "build/lab/ca.pem",
        "token_file": "build/lab/token",
    }
    printed = runpy.run_path(str(ROOT / "ansible" / "access.py"))["curl"](access)
    assert printed in [line for block in pages.blocks(README, "sh") for line in block.text.splitlines()]


@pytest.mark.parametrize("page", PAGES, ids=pages.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in pages.links(page):
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), f"{pages.name(page)}: no {link}"
        if anchor:
            assert anchor in pages.anchors(target), f"{pages.name(page)}: no heading for {link}"


def test_the_readme_leads_to_every_guide() -> None:
    led_to = {link.partition("#")[0] for link in pages.links(README)}
    assert {page for page in led_to if page.startswith("docs/")} == {
        pages.name(guide) for guide in GUIDES if guide.parent.name == "docs"
    }


def test_the_guide_of_workflows_leads_to_the_page_of_each() -> None:
    guide = ROOT / "docs" / "workflows-guide.md"
    led_to = {link.partition("#")[0] for link in pages.links(guide)}
    assert {page for page in led_to if page.startswith("workflows/")} == {
        f"workflows/{page.name}" for page in GUIDES if page.parent.name == "workflows"
    }


@pytest.mark.parametrize("page", PAGES, ids=pages.name)
def test_every_path_in_a_sentence_is_there(page: Path) -> None:
    named = [path for span in pages.spans(pages.prose(page)) for path in commands.paths(span)]
    # A guest's paths begin with a slash; build/<site> is a pattern, not a path.
    assert not [path for path in named if commands.problems(f"cat {path}", made_on(page))]


def _options() -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = {}
    for role in ROLES:
        specs = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text())["argument_specs"]
        found[role.name] = specs["main"]["options"]
    return found


OPTIONS = _options()
# Facts that one role sets for another, as `set_fact` names them.
FACTS = {
    fact
    for tasks in ROOT.glob("roles/*/tasks/**/*.yml")
    for fact in re.findall(r"set_fact:\n\s+(\w+):", tasks.read_text())
}


@pytest.mark.parametrize("page", [*PAGES, *pages.OTHERS], ids=pages.name)
def test_every_variable_named_is_some_roles_own(page: Path) -> None:
    known = {option for options in OPTIONS.values() for option in options} | set(OPTIONS) | FACTS
    prefix = "|".join(OPTIONS)
    code = pages.spans(pages.prose(page)) + [block.text for block in pages.blocks(page)]
    named = {word for text in code for word in re.findall(rf"(?<![\w/.-])(?:{prefix})_\w+", text)}
    assert not named - known


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_the_roles_page_lists_every_setting_with_its_default(role: Path) -> None:
    page = role / "README.md"
    assert page.exists(), f"roles/{role.name} has no README.md"
    rows = pages.table(page, "variable", "default", "meaning")
    listed = {row[0].strip("`"): row[1].strip("`") for row in rows}
    assert set(listed) == set(OPTIONS[role.name])
    for option, spec in OPTIONS[role.name].items():
        assert isinstance(spec, dict)
        default = "required" if spec.get("required") else spec["default"]
        # A template's variables have to be named, or the file that it leads to, in whatever words.
        parts = re.findall(r"{{ (\w+)", str(default))
        if "role_path" in parts:
            parts = [str(default).rpartition("/")[2]]
        if parts:
            assert [part for part in parts if part not in listed[option]] == [], (option, default)
        else:
            assert yaml.safe_load(listed[option]) == default, option


# In pieces, because this file is searched as well.
FORBIDDEN = [
    "/work" + "/",
    "py" + "pi.org",
    "pythonhosted" + ".org",
    "deb.debian" + ".org",
    "archive.ubuntu" + ".com",
    "npmjs" + ".org",
    "TO" + "DO",
    "FIX" + "ME",
]


@pytest.mark.parametrize("page", [*PAGES, *pages.OTHERS], ids=pages.name)
def test_no_page_speaks_of_one_machine_or_one_package_host(page: Path) -> None:
    text = page.read_text()
    assert not [word for word in FORBIDDEN if word in text]


def test_the_licence_is_apache_2_in_full() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License\n                           Version 2.0" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_there_is_a_page_for_every_role() -> None:
    folders = {path for path in (ROOT / "roles").iterdir() if path.is_dir()}
    assert {page.parent for page in ROLE_PAGES if page.exists()} == folders
