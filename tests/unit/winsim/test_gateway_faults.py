"""What goes wrong while the gateway is set up: it is told, what served goes on, and the next run gets there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.lab.windows_host.winsim import installers
from tests.lab.windows_host.winsim.iis_backup_models import configuration
from tests.lab.windows_host.winsim.machine import ARR_DLL
from tests.lab.windows_host.winsim.state import Binding, State

from .machine import FORGE, SITE, Played, Windows, new_windows, play
from .story import ROLES, Story

TASKS = [ROLES[1], ROLES[3]]
WEB_CONFIG = rf"C:\inetpub\comfystack\{SITE}\web.config"
ARR = "requestRouter_amd64.msi"
NOTHING_ELSE: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Fault:
    """What is done to a machine, the settings of both runs beside, and what the operator reads in the first."""

    said: str
    happens: Callable[[State], None] = lambda state: None
    mended: Callable[[State], None] = lambda state: None
    settings: Mapping[str, Any] = field(default_factory=dict)
    # Settings of the first run alone.
    mistaken: Mapping[str, Any] = field(default_factory=dict)
    # On a machine that has nothing of ours yet.
    fresh: bool = False
    # Found before anything is changed.
    early: bool = False


def hold(state: State) -> None:
    state.held_files = [WEB_CONFIG]


def release(state: State) -> None:
    state.held_files = []


def listen(state: State) -> None:
    state.listeners = [{"name": "skype.exe", "pid": 4711, "port": 443, "address": "0.0.0.0"}]  # noqa: S104


def listen_no_more(state: State) -> None:
    state.listeners = []


def rival(state: State) -> None:
    state.sites["shop"].bindings.append(Binding("https", 443, SITE, use_sni=True))


def no_rival(state: State) -> None:
    state.sites["shop"].bindings.pop()


def break_service(state: State) -> None:
    state.services["W3SVC"].update(state="stopped", fault="The dependency service does not exist.")


def mend_service(state: State) -> None:
    del state.services["W3SVC"]["fault"]


def drop(state: State) -> None:
    state.drops_during = "ansible.windows.win_copy"


CHANGED = {"iis_gateway_max_query_string_bytes": 4096}
BAD_PACKAGE = installers.package("ARR", {ARR_DLL: "x"}, code=1618)
FAULTS = {
    "bad-name": Fault(
        "expected: a full host name in lower case",
        mistaken={"iis_gateway_sites": [{"name": "bad_name.example", "backend_port": 8188}]},
        early=True,
    ),
    "held": Fault(
        "because it is being used by another process.\n"
        "expected: a web.config that can be replaced in each folder below C:\\inetpub\\comfystack",
        hold,
        release,
        CHANGED,
    ),
    "taken": Fault(
        "found: skype.exe (process 4711) has port 443", listen, listen_no_more, CHANGED, early=True
    ),
    "rival": Fault(f"found: the site shop of IIS is bound to {SITE}", rival, no_rival, CHANGED, early=True),
    "asleep": Fault(
        "cannot be started due to the following error: The dependency service does not exist.\n"
        "expected: the web service of Windows, running",
        break_service,
        mend_service,
        CHANGED,
    ),
    "dropped": Fault(
        "found: Task failed: ('Connection aborted.', RemoteDisconnected", drop, settings=CHANGED
    ),
    "bad-sum": Fault(f"its SHA-256 is {'{sum}'}", fresh=True),
    "bad-code": Fault(
        "found: Windows Installer ended with 1618 for\nApplication Request Routing 3.0\nexpected: 0 or 3010",
        fresh=True,
    ),
}


def as_host(machine: Windows, name: str, *, first: bool) -> dict[str, Any]:
    fault = FAULTS[name]
    given = machine.as_host(**fault.settings, **(fault.mistaken if first else {}))
    if first and name == "bad-sum":
        given["iis_gateway_arr"]["sha256"] = "0" * 64
    if first and name == "bad-code":
        given["iis_gateway_arr"] = machine.installer(ARR, BAD_PACKAGE)
    return given


@dataclass(frozen=True)
class Runs:
    """The machines by their fault; what each was before, after the first run, and after the second, mended one."""

    machines: dict[str, Windows]
    before: dict[str, dict[str, Any]]
    between: dict[str, dict[str, Any]]
    broken: Played
    mended: Played


@pytest.fixture(scope="module")
def runs(story: Story, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    folder = tmp_path_factory.mktemp("faults")
    machines = {
        name: new_windows(folder / name) if fault.fresh else story.machine.copy(folder / name)
        for name, fault in FAULTS.items()
    }
    # One that nothing happens to, to compare with.
    machines["sound"] = story.machine.copy(folder / "sound")
    with ExitStack() as stack:
        for name, machine in machines.items():
            stack.enter_context(machine.running())
            if name in FAULTS:
                with machine.memory().edit() as state:
                    FAULTS[name].happens(state)
        before = {name: machine.everything() for name, machine in machines.items()}
        hosts = {name: as_host(machines[name], name, first=True) for name in FAULTS}
        broken = play(
            folder / "broken", {**hosts, "sound": machines["sound"].as_host(**CHANGED)}, tasks=TASKS
        )
        between = {name: machine.everything() for name, machine in machines.items()}
        for name, fault in FAULTS.items():
            with machines[name].memory().edit() as state:
                fault.mended(state)
        hosts = {name: as_host(machines[name], name, first=False) for name in FAULTS}
        mended = play(folder / "mended", hosts, tasks=TASKS)
        yield Runs(machines, before, between, broken, mended)


@pytest.mark.parametrize("name", FAULTS)
def test_what_went_wrong_is_told(runs: Runs, name: str) -> None:
    said = FAULTS[name].said.replace("{sum}", runs.machines[name].installer(ARR)["sha256"])
    assert runs.broken.count("failed", name) == 1, runs.broken.about(name)
    # Ansible prints a result as JSON.
    assert json.dumps(said)[1:-1] in runs.broken.about(name) or said in runs.broken.about(name), (
        runs.broken.about(name)
    )
    assert "next step: " in runs.broken.about(name)


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.early])
def test_what_can_be_foreseen_is_found_before_anything_is_changed(runs: Runs, name: str) -> None:
    assert runs.broken.count("changed", name) == 0
    assert runs.between[name] == runs.before[name]


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if not fault.fresh])
def test_what_served_before_goes_on(runs: Runs, name: str) -> None:
    before, between = runs.before[name]["state"], runs.between[name]["state"]
    for part in ("sites", "app_pools", "certificates", "portproxy"):
        assert between[part] == before[part], part
    if name != "dropped":
        # There, it was replaced as a whole before the connection was lost.
        old, new = (
            next(
                text
                for path, text in one["files"].items()
                if path.endswith(f"comfystack/{SITE}/web.config") and "backups" not in path
            )
            for one in (runs.before[name], runs.between[name])
        )
        assert new == old


@pytest.mark.parametrize("name", ["bad-sum", "bad-code"])
def test_no_half_installation_is_left(runs: Runs, name: str) -> None:
    assert not any("requestRouter.dll" in path for path in runs.between[name]["files"])
    assert len(runs.between[name]["state"]["products"]) == 1


@pytest.mark.parametrize("name", FAULTS)
def test_the_next_run_gets_there(runs: Runs, name: str) -> None:
    assert runs.mended.count("failed", name) == 0, runs.mended.about(name)
    state = runs.machines[name].memory().read()
    assert set(state.sites) >= {SITE, FORGE}
    assert state.services["W3SVC"]["state"] == "started"
    if not FAULTS[name].fresh and FAULTS[name].settings:
        sound = runs.machines["sound"]
        assert configuration(state) == configuration(sound.memory().read())
        there = ("c", "inetpub", "comfystack", SITE, "web.config")
        assert runs.machines[name].drive(*there).read_bytes() == sound.drive(*there).read_bytes()


def test_a_restart_that_an_installer_asks_for_is_made_or_told(tmp_path: Path) -> None:
    package = installers.package(
        "ARR", {ARR_DLL: "x"}, code=3010, product_id="{279B4CB0-A213-4F94-B224-19D6F5C59942}"
    )
    machines = {name: new_windows(tmp_path / name) for name in ("restarted", "told")}
    with ExitStack() as stack:
        for machine in machines.values():
            stack.enter_context(machine.running())
        hosts = {
            name: {
                **machine.as_host(iis_gateway_may_restart=name == "restarted"),
                "iis_gateway_arr": machine.installer(ARR, package),
            }
            for name, machine in machines.items()
        }
        played = play(tmp_path / "play", hosts, tasks=[ROLES[1]])
    for name, boots in (("restarted", 2), ("told", 1)):
        assert played.count("failed", name) == 0, played.about(name)
        assert machines[name].memory().read().boots == boots
        assert "asks for a restart of Windows (3010)" in played.about(name)
