"""Scheduled tasks run what they model, when they say; what cannot run at a boot is refused or seen to fail."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lab.windows_host.winsim import power, wsl
from tests.lab.windows_host.winsim.accounts import fingerprint
from tests.lab.windows_host.winsim.environment import profile
from tests.lab.windows_host.winsim.modules import run_module
from tests.lab.windows_host.winsim.scheduler import Scheduler, seconds, split
from tests.lab.windows_host.winsim.state import Store

from .machine import PASSWORD, USER

TASK = "community.windows.win_scheduled_task"
KEEP = r"\ComfyStack\keep"
HOLD = {"path": r"C:\Windows\System32\wsl.exe", "arguments": '-d "Ubuntu" --user root --exec sleep infinity'}
BOOT = {"type": "boot"}
EVERY_5_MINUTES = {
    "type": "time",
    "start_boundary": "2025-01-01T00:00:00",
    "repetition": {"interval": "PT5M"},
}


@pytest.fixture
def store(store: Store) -> Store:
    store.accounts = {USER: PASSWORD}
    with store.edit() as state:
        state.boots = 1
    return store


def register(store: Store, **arguments: Any) -> dict[str, Any]:
    given = {
        "name": "keep",
        "path": "ComfyStack",
        "actions": [HOLD],
        "triggers": [BOOT],
        "username": USER,
        "password": PASSWORD,
        "logon_type": "password",
        "update_password": False,
        **arguments,
    }
    kept = {key: value for key, value in given.items() if value is not None}
    return run_module(store, USER, TASK, kept)


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def guest(store: Store) -> dict[str, Any]:
    return store.read().wsl_distributions["Ubuntu"]


class TestRegistration:
    def test_the_second_time_nothing_changes(self, store: Store) -> None:
        assert register(store)["changed"] is True
        assert register(store)["changed"] is False
        assert register(store, update_password=True)["changed"] is True

    def test_the_password_is_not_kept_in_clear(self, store: Store) -> None:
        register(store)
        assert PASSWORD not in (store.root / "state.json").read_text()
        assert store.read().scheduled_tasks[KEEP]["password"] == fingerprint(PASSWORD)

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ({"password": "no"}, "The user name or password is incorrect"),
            ({"username": "nobody"}, "The user name or password is incorrect"),
            ({"triggers": [{"type": "logon"}]}, "does not model a scheduled task with the trigger 'logon'"),
            ({"triggers": [{"type": "boot", "delay": "1 minute"}]}, "XML duration format"),
            ({"triggers": [{"type": "time"}]}, "start_boundary"),
            ({"logon_type": "interactive_token"}, "would not run at a boot"),
            ({"actions": [{"arguments": "x"}]}, "must contain the key 'path'"),
            ({"name": r"a\b"}, "Invalid task name"),
            ({"wake_to_run": True}, "Unsupported parameters"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, store: Store, wrong: dict[str, Any], said: str) -> None:
        answer = register(store, **wrong)
        assert answer["failed"], answer
        assert said in answer["msg"]
        assert store.read().scheduled_tasks == {}

    def test_a_task_can_go(self, store: Store) -> None:
        register(store)
        assert register(store, state="absent")["changed"] is True
        assert store.read().scheduled_tasks == {}


class TestRunning:
    def test_a_boot_ends_the_guest_and_the_boot_task_brings_it_back_elsewhere(self, store: Store) -> None:
        register(store)
        before = guest(store)["address"]
        power.boot(store)
        assert guest(store)["state"] == "Stopped"
        scheduler = Scheduler(store)
        scheduler.begin()
        scheduler.tick()
        assert guest(store)["state"] == "Running"
        assert guest(store)["address"] != before
        assert scheduler.running == {KEEP}

    def test_localsystem_cannot_hold_a_guest(self, store: Store) -> None:
        register(store, username="SYSTEM", password=None, logon_type="service_account")
        power.boot(store)
        scheduler = Scheduler(store)
        scheduler.begin()
        scheduler.tick()
        assert guest(store)["state"] == "Stopped"
        assert scheduler.results == {KEEP: wsl.FAILED}

    def test_a_changed_password_keeps_the_boot_task_from_running(self, store: Store) -> None:
        register(store)
        store.accounts = {USER: "another-one"}
        power.boot(store)
        scheduler = Scheduler(store)
        scheduler.begin()
        scheduler.tick()
        assert scheduler.results == {KEEP: 0x8007052E}
        assert guest(store)["state"] == "Stopped"

    def test_an_unknown_program_is_named_and_not_run(
        self, store: Store, caplog: pytest.LogCaptureFixture
    ) -> None:
        register(store, actions=[{"path": r"C:\tools\other.exe"}], triggers=[{"type": "registration"}])
        Scheduler(store).tick()
        assert r"does not model the program 'C:\\tools\\other.exe'" in caplog.text

    def test_a_repetition_comes_every_five_minutes_and_no_second_instance_of_a_lasting_one(
        self, store: Store
    ) -> None:
        register(store, triggers=[EVERY_5_MINUTES])
        clock, runs = Clock(), 0
        scheduler = Scheduler(store, clock)
        scheduler.begin()
        for _ in range(4 * 300):
            clock.now += 1
            scheduler.tick()
            if KEEP in scheduler.running:
                # What held the guest is gone, as after `wsl --shutdown`.
                scheduler.end(KEEP)
                runs += 1
        assert runs == 4

    def test_a_delay_is_waited_for(self, store: Store) -> None:
        register(store, triggers=[{"type": "boot", "delay": "PT30S"}])
        clock = Clock()
        scheduler = Scheduler(store, clock)
        scheduler.begin()
        scheduler.tick()
        assert scheduler.results == {}
        clock.now += 31
        scheduler.tick()
        assert scheduler.results == {KEEP: 0}


class TestAGuestThatNothingHolds:
    def test_it_ends(self, store: Store) -> None:
        wsl.end_idle(store, 1000.0)
        wsl.end_idle(store, 1000.0 + wsl.IDLE_SECONDS + 1)
        assert guest(store)["state"] == "Stopped"

    def test_it_stays_where_wslconfig_says_so(self, store: Store) -> None:
        with store.edit() as state:
            state.wsl_distributions["Ubuntu"]["owner"] = USER
        file = store.path(profile(USER) + r"\.wslconfig")
        file.parent.mkdir(parents=True)
        file.write_text("[General]\ninstanceIdleTimeout=-1\n")
        wsl.end_idle(store, 1000.0)
        wsl.end_idle(store, 2000.0)
        assert guest(store)["state"] == "Running"


class TestABoot:
    def test_services_come_up_as_their_start_mode_says(self, store: Store) -> None:
        with store.edit() as state:
            for name, mode in (("a", "auto"), ("m", "manual"), ("broken", "auto")):
                state.services[name] = {"display_name": name, "state": "started", "start_mode": mode}
            state.services["broken"]["fault"] = "The dependency service does not exist."
        power.boot(store)
        after = {name: service["state"] for name, service in store.read().services.items()}
        assert after == {"a": "started", "m": "stopped", "broken": "stopped", "iphlpsvc": "started"}
        refused = run_module(
            store, USER, "ansible.windows.win_service", {"name": "broken", "state": "started"}
        )
        assert "cannot be started due to the following error: The dependency service" in refused["msg"]

    def test_a_feature_that_waits_for_a_reboot_gets_it(self, store: Store) -> None:
        wanted = {"name": ["VirtualMachinePlatform"]}
        with store.edit() as state:
            state.features.clear()
        first = run_module(store, USER, "ansible.windows.win_optional_feature", wanted)
        again = run_module(store, USER, "ansible.windows.win_optional_feature", wanted)
        assert (first["changed"], first["reboot_required"]) == (True, True)
        assert (again["changed"], again["reboot_required"]) == (False, False)
        assert "VirtualMachinePlatform" not in store.read().features
        power.boot(store)
        assert store.read().features["VirtualMachinePlatform"] is True

    def test_the_first_one_finds_the_owner_at_work(self, store: Store) -> None:
        with store.edit() as state:
            state.boots = 0
        power.boot(store)
        assert guest(store)["state"] == "Running"
        assert store.held == {"Ubuntu"}


def test_durations_and_command_lines_are_read_as_windows_reads_them() -> None:
    assert [seconds(text) for text in ("PT5M", "P1DT1H", "PT0S")] == [300, 90_000, 0]
    assert split('-d "My Linux" --exec sleep') == ["-d", "My Linux", "--exec", "sleep"]
    for wrong in ("5M", "P", "PT", "soon"):
        with pytest.raises(ValueError, match="not a duration"):
            seconds(wrong)
