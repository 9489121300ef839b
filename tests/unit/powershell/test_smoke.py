"""The smoke test for a real Windows host reads only, and asks for what the roles, the check and the simulator say."""

from __future__ import annotations

import re

import pytest

from tests.lab.windows_host.winsim import machine
from tests.lab.windows_host.winsim.iis import schema
from tests.unit.roles import rendering

from . import bans, tree

FOLDER = tree.REPOSITORY / "iis" / "smoke"
FILES = sorted(FOLDER.iterdir())
SERVER = (FOLDER / "Server.psm1").read_text()
# What asks the machine, beside commands whose verb only reads.
ASKING = {"set-strictmode", "import-module", "export-modulemember", "new-object", "wsl.exe"}


def listed(name: str) -> list[str]:
    """The texts of one of the script's lists."""
    (found,) = re.findall(rf"^\${name} = @[({{](.*?)^[)}}]", SERVER, re.MULTILINE | re.DOTALL)
    return re.findall(r"'([^']+)'", found)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_reads_only(path: object) -> None:
    root = tree.parse((FOLDER / str(path)).read_text())
    assert [tree.text(node) for node in bans.changes(root)] == []
    names = {name.lower() for name, _ in tree.commands(root)}
    assert not {name for name in names - ASKING if name.partition("-")[0] not in bans.READING}


def test_a_guest_is_asked_only_where_it_runs_already() -> None:
    text = (FOLDER / "Guest.psm1").read_text()
    asked = [tree.words(command)[0] for name, command in tree.commands(tree.parse(text)) if name == "wsl.exe"]
    assert asked[0] == "--list", "the list starts nothing"
    assert text.index("-notcontains $Distribution") < text.index("--exec")


def test_the_settings_are_those_of_the_role() -> None:
    wanted = rendering.value("_iis_gateway_server_settings", "iis_gateway", rendering.LEAST)
    assert listed("settings") == [f"{one['section']} {one['name']} {one['value']}" for one in wanted]
    variables = rendering.value("_iis_gateway_server_variables", "iis_gateway", rendering.LEAST)
    assert listed("variables") == variables


def test_the_locks_are_those_that_the_simulator_acts_out() -> None:
    said = dict(line.split() for line in listed("locks"))
    free = schema.SECTIONS.keys() | schema.NOT_MODELLED
    for section, who in said.items():
        assert (
            section
            in {"Deny": schema.LOCKED, "AppHostOnly": schema.APPLICATION_HOST_ONLY, "Allow": free}[who]
        )


def test_the_installers_are_known_by_what_the_role_knows_them_by() -> None:
    modules = rendering.variables_of("iis_gateway", rendering.LEAST)["_iis_gateway_modules"]
    assert {machine.ARR_DLL, machine.REWRITE_DLL} == {one["file"] for one in modules}
    assert {one["file"] for one in modules} <= set(listed("files"))
    assert {one["product_id"] for one in modules} <= set(listed("products"))


def test_every_row_can_pass_fail_or_not_apply() -> None:
    said = set()
    for path in FILES:
        said |= set(re.findall(r"-Outcome '([a-z ]+)'", path.read_text()))
    assert said <= {"pass", "fail", "not applicable"}
    assert "exit [int](" in (FOLDER / "Test-Host.ps1").read_text()
