"""The guest belongs to an account of its own, made with it or found with it; what hinders that is told before."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.lab.windows_host.winsim import accounts, power, wsl
from tests.lab.windows_host.winsim.modules import run_module
from tests.lab.windows_host.winsim.scheduler import Scheduler
from tests.lab.windows_host.winsim.state import Store

from .machine import PASSWORD, REPOSITORY, USER, Played, Windows, new_windows, play
from .shelf import PREFLIGHT, Stores, hosts, provision

KEEPER, SECRET = "keeper", "xyzzy-plugh"
AS_KEEPER = {"wsl_host_account": KEEPER, "wsl_host_account_password": SECRET}
GUEST, WATCH = r"\ComfyStack\Guest", r"\ComfyStack\Watch"
ROLE = {"name": "WSL", "ansible.builtin.import_role": {"name": "wsl_host"}}
NOT_GRANTED = 0x80070569


def said(played: Played, host: str) -> str:
    return played.about(host).replace("\\n", "\n").replace("\\\\", "\\").replace('\\"', '"')


@pytest.fixture(scope="module")
def made(empty: Windows, stores: Stores, tmp_path_factory: pytest.TempPathFactory) -> tuple[Windows, Played]:
    folder = tmp_path_factory.mktemp("made")
    machine = empty.copy(folder / "machine")
    with machine.running():
        first = provision(folder / "first", machine, stores, "-vvv", **AS_KEEPER)
    assert first.exit_code == 0, first.output
    return machine, first


@pytest.fixture
def later(made: tuple[Windows, Played], tmp_path: Path) -> Store:
    """The machine of that guest, to be changed at will."""
    memory = made[0].copy(tmp_path / "machine").memory()
    memory.accounts = {USER: PASSWORD}
    return memory


class TestMade:
    def test_the_guest_its_tasks_and_its_settings_are_the_accounts(
        self, made: tuple[Windows, Played]
    ) -> None:
        memory = made[0].memory()
        state = memory.read()
        assert state.wsl_distributions["Ubuntu"]["owner"] == KEEPER
        assert {task["username"] for task in state.scheduled_tasks.values()} == {KEEPER}
        assert memory.path(rf"C:\Users\{KEEPER}\.wslconfig").exists()
        assert not memory.path(rf"C:\Users\{USER}\.wslconfig").exists()

    def test_the_account_can_do_what_its_tasks_need_and_its_password_does_not_end(
        self, made: tuple[Windows, Played]
    ) -> None:
        state = made[0].memory().read()
        assert state.users[KEEPER]["groups"] == [accounts.ADMINISTRATORS]
        assert state.users[KEEPER]["password_never_expires"] is True
        assert state.user_rights == {accounts.BATCH: [KEEPER]}

    def test_its_password_stands_nowhere(self, made: tuple[Windows, Played]) -> None:
        machine, first = made
        assert SECRET not in first.output
        assert [
            path
            for path in machine.folder.rglob("*")
            if path.is_file() and SECRET.encode() in path.read_bytes()
        ] == []

    def test_nothing_is_left_to_do(
        self, made: tuple[Windows, Played], stores: Stores, tmp_path: Path
    ) -> None:
        machine = made[0].copy(tmp_path / "machine")
        with machine.running():
            second = provision(tmp_path / "second", machine, stores, **AS_KEEPER)
        assert second.exit_code == 0, second.output
        assert second.count("changed", "win") == 0

    def test_check_mode_tells_and_changes_nothing(
        self, empty: Windows, stores: Stores, tmp_path: Path
    ) -> None:
        machine = empty.copy(tmp_path / "machine")
        with machine.running():
            before = machine.everything()
            told = provision(tmp_path / "check", machine, stores, "--check", **AS_KEEPER)
            assert machine.everything() == before
        assert told.exit_code == 0, told.output
        assert told.count("changed", "win") > 6


class TestAReboot:
    def test_brings_the_guest_back_for_its_owner_and_a_port_to_it(self, later: Store) -> None:
        assert boot(later)[GUEST] == 0
        assert later.read().wsl_distributions["Ubuntu"]["state"] == "Running"
        assert reached(later)

    def test_starts_nothing_for_an_account_without_the_right(self, later: Store) -> None:
        with later.edit() as state:
            state.users[KEEPER]["groups"] = []
            state.user_rights.clear()
        assert boot(later) == {GUEST: NOT_GRANTED, WATCH: NOT_GRANTED}
        assert later.read().wsl_distributions["Ubuntu"]["state"] == "Stopped"

    def test_leads_no_port_for_an_account_that_is_no_administrator(self, later: Store) -> None:
        with later.edit() as state:
            state.users[KEEPER]["groups"] = []
        assert boot(later) == {GUEST: 0, WATCH: 1}
        assert later.read().wsl_distributions["Ubuntu"]["state"] == "Running"
        assert not reached(later)

    def test_starts_nothing_where_the_tasks_are_another_accounts(self, later: Store) -> None:
        """WSL shows Ansible's own account no distribution of this one."""
        with later.edit() as state:
            for task in state.scheduled_tasks.values():
                task |= {"username": USER, "password": accounts.fingerprint(PASSWORD)}
        assert boot(later) == {GUEST: wsl.FAILED, WATCH: 1}
        assert later.read().wsl_distributions["Ubuntu"]["state"] == "Stopped"


def boot(memory: Store) -> dict[str, int]:
    """What the tasks of the next boot end with."""
    power.boot(memory)
    scheduler = Scheduler(memory)
    scheduler.begin()
    scheduler.tick()
    return scheduler.results


def reached(memory: Store) -> bool:
    state = memory.read()
    return {line.connect_address for line in state.portproxy} == {
        state.wsl_distributions["Ubuntu"]["address"]
    }


def test_wsl_ends_only_what_is_the_callers(later: Store) -> None:
    later.scheduler = scheduler = Scheduler(later)
    power.boot(later)
    scheduler.begin()
    scheduler.tick()
    arguments = {
        "script": (REPOSITORY / "roles/wsl_host/files/Restart-Wsl.ps1").read_text(),
        "error_action": "stop",
        "parameters": {"TaskPath": "\\ComfyStack\\", "TaskName": "Guest"},
    }
    others = run_module(later, USER, "ansible.windows.win_powershell", arguments)
    assert "Guest is still running after WSL has ended" in others["error"][0]["output"]
    assert later.read().wsl_distributions["Ubuntu"]["state"] == "Running"
    run_module(later, KEEPER, "ansible.windows.win_powershell", arguments)
    assert later.read().wsl_distributions["Ubuntu"]["state"] == "Stopped"


def with_keeper(
    folder: Path, owner: str = KEEPER, groups: tuple[str, ...] = (accounts.ADMINISTRATORS,)
) -> Windows:
    """A machine with that account besides Ansible's, and a guest that has been there for a while."""
    machine = new_windows(folder)
    with machine.memory().edit() as state:
        state.users[KEEPER] = {"password": accounts.fingerprint(SECRET), "groups": list(groups)}
        state.user_rights[accounts.BATCH] = [KEEPER]
        state.wsl_distributions["Ubuntu"]["owner"] = owner
    return machine


def test_a_guest_of_another_account_is_adopted_and_started_afresh_as_that_account(tmp_path: Path) -> None:
    machine = with_keeper(tmp_path / "machine")
    restart = {
        "name": "Restart",
        "ansible.builtin.include_role": {"name": "wsl_host", "tasks_from": "restart"},
        "vars": {"wsl_host_restart": {"reasons": ["a test"], "target": "deploy"}},
    }
    with machine.running():
        win = {"win": machine.as_host(wsl_host_guest="", **AS_KEEPER)}
        before = machine.everything()
        told = play(tmp_path / "check", win, None, "--check", tasks=[ROLE])
        assert machine.everything() == before
        first = play(tmp_path / "first", win, tasks=[ROLE])
        second = play(tmp_path / "second", win, tasks=[ROLE])
        address = machine.memory().read().wsl_distributions["Ubuntu"]["address"]
        restarted = play(tmp_path / "restart", win, tasks=[restart])
    assert [one.exit_code for one in (told, first, second, restarted)] == [0] * 4, (
        first.output + restarted.output
    )
    assert told.count("changed", "win") >= first.count("changed", "win") > 3
    assert second.count("changed", "win") == 0
    state = machine.memory().read()
    assert {task["username"] for task in state.scheduled_tasks.values()} == {KEEPER}
    assert machine.memory().path(rf"C:\Users\{KEEPER}\.wslconfig").exists()
    assert state.wsl_distributions["Ubuntu"]["address"] != address
    assert reached(machine.memory())


# Host -> the machine behind it, its settings, and what preflight says.
REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "unknown": ("plain", {}, "found: no local account keeper on unknown"),
    "silent": (
        "owned",
        {"wsl_host_account_password": ""},
        "found: wsl_host_account is keeper, and wsl_host_account_pass",
    ),
    "wrong": (
        "owned",
        {"wsl_host_account_password": "no"},
        "found: keeper cannot log on for a batch job: failure during exec_wrapper: Exception calling "
        '"CreateProcessAsUser" with "9" argument(s): "Failed to logon .\\keeper (The user name or password is',
    ),
    "powerless": ("powerless", {}, "found: keeper is no administrator of powerless"),
    "stranger": ("strange", {}, "found: the WSL distributions (none)\nof keeper\nexpected: Ubuntu"),
    "second": (
        "plain",
        {"wsl_host_mode": "provision"},
        "found: Ubuntu belongs to operator, and wsl_host_account is keeper",
    ),
}


def test_what_hinders_the_account_is_told_and_nothing_is_changed(stores: Stores, tmp_path: Path) -> None:
    machines = {
        "plain": new_windows(tmp_path / "plain"),
        "owned": with_keeper(tmp_path / "owned"),
        "powerless": with_keeper(tmp_path / "powerless", groups=()),
        "strange": with_keeper(tmp_path / "strange", owner=USER),
    }
    with ExitStack() as stack:
        for machine in machines.values():
            stack.enter_context(machine.running())
        inventory = {
            host: machines[name].as_host(
                **stores.as_variables(**{"wsl_host_mode": "adopt", **AS_KEEPER, **more})
            )
            for host, (name, more, _) in REFUSED.items()
        }
        # The account that Ansible logs on with is nobody else, however it is written.
        inventory["same"] = machines["plain"].as_host(wsl_host_account=USER.upper())
        inventory["guest"] = hosts(machines["plain"], stores)["guest"]
        before = {name: machine.everything() for name, machine in machines.items()}
        played = play(tmp_path / "play", inventory, [{"hosts": "all:!guest", "tasks": [PREFLIGHT]}])
        for name, machine in machines.items():
            # A logon leaves a profile, and nothing else.
            assert machine.everything() == before[name]
    for host, (_, _, words) in REFUSED.items():
        assert played.count("failed", host) == 1, played.output
        assert played.count("changed", host) == 0
        assert words in said(played, host)
    assert played.count("failed", "same") == 0, played.about("same")


def test_a_password_that_windows_refuses_is_told_and_not_shown(
    empty: Windows, stores: Stores, tmp_path: Path
) -> None:
    machine = empty.copy(tmp_path / "machine")
    with machine.memory().edit() as state:
        state.least_password = 20
    with machine.running():
        played = provision(tmp_path / "play", machine, stores, "-vvv", **AS_KEEPER)
    assert "found: Windows does not make the account keeper: " in said(played, "win")
    assert "does not meet the password policy requirements" in said(played, "win")
    assert SECRET not in played.output
    assert machine.memory().read().users == {}
