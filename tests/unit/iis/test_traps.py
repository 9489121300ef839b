"""Each trap of the gateway, with its setting and without: the static check and a client agree on both."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from comfystack import iis_lint

from tests.lab.windows_host.winsim import applicationhost
from tests.lab.windows_host.winsim.iis import worker
from tests.lab.windows_host.winsim.machine import ARR_DLL, REWRITE_DLL
from tests.unit.docs import pages
from tests.unit.iis.machine import Machine, on_machine, render
from tests.unit.iis.traps import TRAPS, Trap
from tests.unit.roles import rendering

LIMIT = 40_000_000
GROUPS = {*map(str, range(1, 17)), "lock", "farm", "pool", "installer", "more"}
PAGE = Path(__file__).parents[3] / "docs" / "gateway.md"
DLLS = {"URL Rewrite": REWRITE_DLL, "Application Request Routing": ARR_DLL}


def plan() -> iis_lint.Plan:
    """What the role sets beside the web.config, from its own variables."""
    given = {**rendering.LEAST, "site_max_upload_bytes": LIMIT}
    return iis_lint.Plan(**rendering.value("_iis_gateway_plan", "iis_gateway", given))


PLAN = plan()
# By whether the name has a certificate.
WEB_CONFIG = {
    encrypted: render(iis_gateway_max_upload_bytes=LIMIT, _iis_gateway_redirect=encrypted)
    for encrypted in (True, False)
}


def without(trap: Trap) -> tuple[str, iis_lint.Plan]:
    """The web.config and the plan, less what the trap takes away."""
    web, less = WEB_CONFIG[trap.encrypted], PLAN
    if trap.find:
        assert trap.find in web, f"{trap.find!r} is not in the web.config any more"
        web = web.replace(trap.find, trap.replace)
    if trap.setting:
        kept = [one for one in less.server_settings if (one["section"], one["name"]) != trap.setting]
        assert len(kept) == len(less.server_settings) - 1
        less = replace(less, server_settings=kept)
    what, _, name = trap.other.partition(" ")
    variables = list(less.allowed_server_variables)
    changes: dict[str, dict[str, Any]] = {
        "allowed": {"allowed_server_variables": [one for one in variables if one != name]},
        "also": {"allowed_server_variables": [*variables, name]},
        "hsts": {"hsts": {}},
        "feature": {"features": [one for one in less.features if one != "Web-WebSockets"]},
        "log": {"log_fields_removed": [one for one in less.log_fields_removed if one != name]},
        "pool": {"pool": {key: value for key, value in less.pool.items() if key != name}},
        "module": {"modules": [one for one in less.modules if not one.startswith(name)]},
        "": {},
    }
    return web, replace(less, **changes[what])


def deploy(machine: Machine, web: str, chosen: iis_lint.Plan) -> None:
    """Bring the machine into the state that the role would make of this."""
    machine.write("web.config", web)
    with machine.store.edit() as state:
        state.server_config = {}
        state.features = dict.fromkeys(chosen.features, True)
        state.allowed_server_variables = list(chosen.allowed_server_variables)
        for one in chosen.server_settings:
            value = applicationhost.convert(one["section"], one["name"], one["value"])
            applicationhost.write_setting(state, one["section"], one["name"], value)
        state.app_pools["qwen"].attributes = dict(chosen.pool)
        attributes = state.sites["qwen"].attributes
        attributes.update({f"hsts.{name}": value for name, value in chosen.hsts.items()})
        kept = set(applicationhost.LOG_FIELDS.split(",")) - set(chosen.log_fields_removed)
        attributes[applicationhost.LOG_FIELDS_ATTRIBUTE] = ",".join(sorted(kept))
    for module, file in DLLS.items():
        if not any(one.startswith(module) for one in chosen.modules):
            machine.store.path(file).unlink()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """ARR's own 120 s and a pool's own 29 hours last one: nobody here waits to see them end."""
    second = ("timespan", "00:00:01")
    monkeypatch.setitem(applicationhost.SCHEMA["system.webServer/proxy"], "timeout", second)
    monkeypatch.setitem(applicationhost.POOL_SCHEMA, "recycling.periodicRestart.time", second)
    monkeypatch.setattr(worker, "SHUTDOWN_SECONDS", 0)


def title(trap: Trap) -> str:
    return f"{trap.group} {trap.avoids if trap.group == '5' else trap.name}"


@pytest.mark.parametrize("encrypted", [True, False])
def test_the_deployment_as_it_is_has_nothing_to_be_refused(encrypted: bool) -> None:
    assert iis_lint.refusals(WEB_CONFIG[encrypted], PLAN, encrypted) == []


@pytest.mark.parametrize(
    ("works", "encrypted"),
    dict.fromkeys((trap.works, trap.encrypted) for trap in TRAPS),
    ids=lambda one: getattr(one, "__name__", None),
)
@on_machine
async def test_with_its_setting_each_way_of_noticing_is_quiet(
    machine: Machine, works: Any, encrypted: bool
) -> None:
    deploy(machine, WEB_CONFIG[encrypted], PLAN)
    await asyncio.wait_for(works(machine), 15)


@pytest.mark.parametrize("trap", TRAPS, ids=title)
def test_without_it_the_static_check_says_so(trap: Trap) -> None:
    said = iis_lint.refusals(*without(trap), trap.encrypted)
    assert [line for line in said if trap.said in line], said


@pytest.mark.parametrize("trap", TRAPS, ids=title)
@on_machine
async def test_without_it_a_client_notices(machine: Machine, trap: Trap) -> None:
    deploy(machine, *without(trap))
    with pytest.raises(AssertionError) as noticed:
        await asyncio.wait_for(trap.works(machine), 5)
    assert trap.breaks in str(noticed.value)


def test_no_group_of_traps_is_empty() -> None:
    assert {trap.group for trap in TRAPS} == GROUPS


def test_the_page_has_the_same_table() -> None:
    rows = [[trap.group, trap.name, trap.avoids, trap.said, trap.breaks.strip()] for trap in TRAPS]
    (listed,) = [table for table in pages.tables(PAGE) if table[0][0] == "#"]
    assert listed[1:] == rows, "\n".join("| " + " | ".join(row) + " |" for row in rows)
