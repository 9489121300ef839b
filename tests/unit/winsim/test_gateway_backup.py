"""The configuration of IIS has a backup before anything is changed, and goes back to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.windows_host.winsim.iis_backup_models import configuration

from .machine import FORGE, SITE, Played, Windows, play
from .story import ROLES, SHOP, Story

TASKS = [ROLES[1], ROLES[3]]
RESTORE = {
    "name": "Restore",
    "ansible.builtin.include_role": {"name": "iis_gateway", "tasks_from": "restore"},
}
LATER = "later.comfystack.test"
SITES = [{"name": SITE, "backend_port": 8188}, {"name": FORGE}, {"name": LATER}]


@pytest.fixture
def machine(story: Story, tmp_path: Path) -> Iterator[Windows]:
    with story.machine.copy(tmp_path / "machine").running() as running:
        yield running


def restore(machine: Windows, name: str, **more: Any) -> Played:
    hosts = {"win": machine.as_host(iis_gateway_restore_from=name, site_public_sites=SITES, **more)}
    return play(machine.folder / f"restore-{name}", hosts, tasks=[RESTORE])


def web_config(machine: Windows) -> bytes:
    return machine.drive("c", "inetpub", "comfystack", SITE, "web.config").read_bytes()


def test_what_was_deployed_has_a_backup_and_each_state_has_one(story: Story) -> None:
    state = story.memory.read()
    (deployed,) = state.iis_backups.values()
    assert deployed == configuration(state)


def test_the_gateway_goes_back_to_what_it_was(machine: Windows) -> None:
    before = machine.memory().read()
    (first,) = before.iis_backups
    served = web_config(machine)
    hosts = {"win": machine.as_host(site_public_sites=SITES, site_proxy_timeout_seconds=7200, **CHANGED)}
    changed = play(machine.folder / "change", hosts, tasks=TASKS)
    assert changed.exit_code == 0, changed.output
    assert LATER in machine.memory().read().sites
    assert web_config(machine) != served

    back = restore(machine, first)
    assert back.exit_code == 0, back.output
    after = machine.memory().read()
    assert (after.sites, after.app_pools, after.server_config) == (
        before.sites,
        before.app_pools,
        before.server_config,
    )
    assert web_config(machine) == served
    # And forth: what was left has a backup, too.
    assert any(LATER in backup["sites"] for backup in after.iis_backups.values())


CHANGED = {"iis_gateway_max_query_string_bytes": 4096}


def test_a_backup_that_does_not_exist_is_answered_with_those_that_do(machine: Windows) -> None:
    (first,) = machine.memory().read().iis_backups
    refused = restore(machine, "")
    assert refused.count("failed", "win") == 1
    assert f"expected: one of {first}" in refused.output


def test_sites_of_others_do_not_go_back_with_ours_unless_that_is_asked_for(machine: Windows) -> None:
    (first,) = machine.memory().read().iis_backups
    with machine.memory().edit() as state:
        state.sites["shop"].physical_path = r"D:\new-shop"
    refused = restore(machine, first)
    assert "sites of others are not as they are now: shop" in refused.output
    assert machine.memory().read().sites["shop"].physical_path == r"D:\new-shop"
    back = restore(machine, first, iis_gateway_restore_others=True)
    assert back.exit_code == 0, back.output
    assert machine.memory().read().sites["shop"] == SHOP
