"""Each trap of the gateway, with its setting and without: the static check and a client agree on both."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from comfystack import iis_lint

from tests.lab.windows_host.winsim import applicationhost
from tests.unit.iis.machine import Machine, on_machine, render
from tests.unit.iis.traps import TRAPS, Trap
from tests.unit.roles import rendering

LIMIT = 40_000_000
# The table of the project's notes has sixteen; the others came on top of them.
NUMBERED = range(1, 17)


def plan() -> iis_lint.Plan:
    """What the role sets beside the web.config, from its own variables."""
    given = {**rendering.LEAST, "site_max_upload_bytes": LIMIT}
    return iis_lint.Plan(**rendering.value("_iis_gateway_plan", "iis_gateway", given))


PLAN = plan()
WEB_CONFIG = render(iis_gateway_max_upload_bytes=LIMIT)


def without(trap: Trap) -> tuple[str, iis_lint.Plan]:
    """The web.config and the plan, less what the trap takes away."""
    web, less = WEB_CONFIG, PLAN
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
        "log": {"log_fields_removed": []},
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
        attributes = state.sites["qwen"].attributes
        attributes.update({f"hsts.{name}": value for name, value in chosen.hsts.items()})
        kept = set(applicationhost.LOG_FIELDS.split(",")) - set(chosen.log_fields_removed)
        attributes[applicationhost.LOG_FIELDS_ATTRIBUTE] = ",".join(sorted(kept))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """ARR's own 120 s last one: nobody here waits two minutes to see them end."""
    monkeypatch.setitem(applicationhost.SCHEMA["system.webServer/proxy"], "timeout", ("timespan", "00:00:01"))


def test_the_deployment_as_it_is_has_nothing_to_be_refused() -> None:
    assert iis_lint.refusals(WEB_CONFIG, PLAN) == []


@pytest.mark.parametrize(
    "works", dict.fromkeys(trap.works for trap in TRAPS), ids=lambda works: works.__name__
)
@on_machine
async def test_with_its_setting_each_way_of_noticing_is_quiet(machine: Machine, works: Any) -> None:
    deploy(machine, WEB_CONFIG, PLAN)
    await asyncio.wait_for(works(machine), 15)


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.name)
def test_without_it_the_static_check_says_so(trap: Trap) -> None:
    said = iis_lint.refusals(*without(trap))
    assert [line for line in said if trap.said in line], said


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.name)
@on_machine
async def test_without_it_a_client_notices(machine: Machine, trap: Trap) -> None:
    deploy(machine, *without(trap))
    with pytest.raises((AssertionError, TimeoutError, aiohttp.ClientError)):
        await asyncio.wait_for(trap.works(machine), 3)


def test_every_trap_of_the_table_is_here() -> None:
    assert {int(trap.name.split()[0]) for trap in TRAPS if trap.name[0].isdigit()} == set(NUMBERED)
