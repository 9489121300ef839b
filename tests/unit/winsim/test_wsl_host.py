"""wsl_host on a machine of somebody: the guest stays, comes back by itself, and what is the owner's stays his."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab.driver import adapters
from tests.lab.gpu.cards import load as load_cards
from tests.lab.windows_host.winsim import power
from tests.lab.windows_host.winsim.modules import run_module
from tests.lab.windows_host.winsim.scheduler import Scheduler, run_task
from tests.lab.windows_host.winsim.state import State, Store

from .machine import PASSWORD, REPOSITORY, USER, Played, new_windows, play
from .story import WSLCONFIG, Story, wslconfig

GUEST, WATCH = r"\ComfyStack\Guest", r"\ComfyStack\Watch"
JOURNAL = r"C:\Program Files\ComfyStack\watch.log"
RESTARTED = r"C:\Program Files\ComfyStack\restart.log"
TASK = "community.windows.win_scheduled_task"
INI = REPOSITORY / "roles/wsl_host/files/Set-IniValue.ps1"
RESTART = INI.with_name("Restart-Wsl.ps1")
DETACHED = INI.with_name("Restart-Guest.ps1")
TASKS = yaml.safe_load((REPOSITORY / "roles/wsl_host/tasks/restart/inside.yml").read_text())
DISPLAY = INI.with_name("Get-DisplayDriver.ps1")


@pytest.fixture
def later(story: Story, tmp_path: Path) -> Store:
    """The deployed machine, to be changed at will."""
    memory = story.machine.copy(tmp_path / "machine").memory()
    memory.accounts = {USER: PASSWORD}
    return memory


def address(state: State) -> str:
    return str(state.wsl_distributions["Ubuntu"]["address"])


def forwards(state: State) -> dict[str, str]:
    return {f"{p.listen_address}/{p.listen_port}": p.connect_address for p in state.portproxy}


def journal(memory: Store) -> str:
    return memory.path(JOURNAL).read_text(encoding="utf-8-sig")


class TestAReboot:
    def test_brings_the_guest_back_and_the_port_leads_to_its_new_address(self, later: Store) -> None:
        before = address(later.read())
        power.boot(later)
        assert later.read().wsl_distributions["Ubuntu"]["state"] == "Stopped"
        scheduler = Scheduler(later)
        scheduler.begin()
        scheduler.tick()
        state = later.read()
        assert state.wsl_distributions["Ubuntu"]["state"] == "Running"
        assert address(state) != before
        assert forwards(state) == {"127.0.0.1/8188": address(state)}
        assert scheduler.results == {GUEST: 0, WATCH: 0}
        assert f"port proxy: 127.0.0.1/8188 leads to {address(state)}/8188" in journal(later)

    def test_without_the_boot_task_leaves_the_guest_down(self, later: Store) -> None:
        with later.edit() as state:
            del state.scheduled_tasks[GUEST], state.scheduled_tasks[WATCH]
        power.boot(later)
        Scheduler(later).begin()
        assert later.read().wsl_distributions["Ubuntu"]["state"] == "Stopped"

    def test_a_task_with_the_password_of_before_starts_nothing(self, later: Store) -> None:
        later.accounts = {USER: "changed"}
        power.boot(later)
        scheduler = Scheduler(later)
        scheduler.begin()
        scheduler.tick()
        assert later.read().wsl_distributions["Ubuntu"]["state"] == "Stopped"


class TestTheWatch:
    def test_mends_a_port_that_leads_elsewhere_and_leaves_other_lines_alone(self, later: Store) -> None:
        with later.edit() as state:
            state.portproxy[0].connect_address = "172.29.250.2"
            foreign = type(state.portproxy[0])("0.0.0.0", 9000, "10.0.0.9", 9000)  # noqa: S104
            state.portproxy.append(foreign)
        assert run_task(later, WATCH).code == 0
        state = later.read()
        assert forwards(state) == {"127.0.0.1/8188": address(state), "0.0.0.0/9000": "10.0.0.9"}

    def test_says_nothing_while_all_is_well(self, later: Store) -> None:
        assert run_task(later, WATCH).code == 0
        assert not later.path(JOURNAL).exists()

    def test_says_that_iis_does_not_answer(self, later: Store) -> None:
        with later.edit() as state:
            state.services["W3SVC"]["state"] = "stopped"
        assert run_task(later, WATCH).code == 1
        assert "IIS: no answer at http://127.0.0.1/" in journal(later)

    def test_says_that_the_guest_is_gone(self, later: Store) -> None:
        with later.edit() as state:
            state.wsl_distributions.clear()
        assert run_task(later, WATCH).code == 1
        assert "guest: Ubuntu gave no address" in journal(later)

    def test_an_edited_script_is_not_run(self, later: Store, caplog: pytest.LogCaptureFixture) -> None:
        script = later.path(r"C:\Program Files\ComfyStack\Watch-Guest.ps1")
        script.write_text(script.read_text() + "# edited\n")
        assert run_task(later, WATCH).code == 1
        assert "does not know the script Watch-Guest.ps1" in caplog.text


class TestWhatIsTheOwners:
    def test_lines_of_wslconfig_stay_to_the_letter(self, story: Story) -> None:
        file = wslconfig(story.memory)
        assert file.read_bytes().decode() == (
            WSLCONFIG.replace("vmidletimeout=60000", "vmIdleTimeout=-1")
            + "\r\n[general]\r\ninstanceIdleTimeout=-1\r\n"
        )
        assert file.with_name(".wslconfig.before").read_bytes().decode() == WSLCONFIG

    def test_rules_of_the_firewall_stay_and_no_backend_port_is_opened(self, story: Story) -> None:
        rules = story.memory.read().firewall_rules
        assert rules["WinRM for everybody"] == {"LocalPorts": "5986"}
        ours = {name: rule for name, rule in rules.items() if name.startswith("ComfyStack")}
        assert sorted(rule["LocalPorts"] for rule in ours.values()) == ["443", "5986", "80"]
        assert ours["ComfyStack WinRM"]["RemoteAddresses"] == (
            "192.0.2.0/255.255.255.0,198.51.100.7/255.255.255.255"
        )

    def test_the_tasks_run_as_the_owner_for_as_long_as_it_takes(self, story: Story) -> None:
        tasks = story.memory.read().scheduled_tasks
        assert {task["username"] for task in tasks.values()} == {USER}
        assert tasks[GUEST]["settings"]["execution_time_limit"] == "PT0S"
        assert PASSWORD not in str(tasks)


def restart_wsl(store: Store, task: str = "Guest", **more: Any) -> dict[str, Any]:
    arguments = {
        "script": RESTART.read_text(),
        "error_action": "stop",
        "parameters": {"TaskPath": "\\ComfyStack\\", "TaskName": task},
    }
    return run_module(store, USER, "ansible.windows.win_powershell", {**arguments, **more})


class TestAFreshStartOfWsl:
    def test_ends_the_guest_and_the_boot_task_starts_it_elsewhere(self, later: Store) -> None:
        later.scheduler = scheduler = Scheduler(later)
        scheduler.begin()
        scheduler.tick()
        before = address(later.read())
        assert GUEST in scheduler.running
        assert restart_wsl(later, _ansible_check_mode=True)["changed"] is True
        assert later.read().wsl_distributions["Ubuntu"]["state"] == "Running"
        assert restart_wsl(later)["changed"] is True
        assert later.read().wsl_distributions["Ubuntu"]["state"] == "Stopped"
        scheduler.tick()
        assert later.read().wsl_distributions["Ubuntu"]["state"] == "Running"
        assert address(later.read()) != before

    @pytest.mark.parametrize("check", [True, False])
    def test_is_refused_where_nobody_would_start_the_guest(self, later: Store, check: bool) -> None:
        before = later.read()
        refused = restart_wsl(later, task="Nobody", _ansible_check_mode=check)
        assert refused["error"][0]["output"] == r"no scheduled task \ComfyStack\Nobody"
        assert later.read() == before


def register(store: Store) -> None:
    """The task of tasks/restart/inside.yml, and its script, as the role leaves them on Windows."""
    (task,) = [one[TASK] for one in TASKS if "actions" in one.get(TASK, {})]
    texts = {
        "{{ _wsl_host_program_dir }}": r"C:\Program Files\ComfyStack",
        "{{ _wsl_host_owner }}": USER,
        "{{ _wsl_host_owner_password }}": PASSWORD,
    }
    given = json.dumps(task)
    for text, value in texts.items():
        given = given.replace(text, json.dumps(value)[1:-1])
    internal = yaml.safe_load((REPOSITORY / "roles/wsl_host/vars/main.yml").read_text())
    triggers = [{"type": "registration", "delay": internal["_wsl_host_farewell"]}]
    store.path(r"C:\Program Files\ComfyStack\Restart-Guest.ps1").write_bytes(DETACHED.read_bytes())
    done = run_module(store, USER, TASK, {**json.loads(given), "triggers": triggers})
    assert done["changed"], done


class TestAFreshStartForAnAnsibleInTheGuest:
    def test_waits_for_its_last_words_and_brings_the_guest_back(self, later: Store) -> None:
        moment = [1_800_000_000.0]
        later.scheduler = scheduler = Scheduler(later, now=lambda: moment[0])
        scheduler.begin()
        scheduler.tick()
        before = address(later.read())
        register(later)
        for seconds in (0.0, 9.5):
            moment[0] += seconds
            scheduler.tick()
            assert later.read().wsl_distributions["Ubuntu"]["state"] == "Running"
        moment[0] += 1
        scheduler.tick()
        assert later.read().wsl_distributions["Ubuntu"]["state"] == "Stopped"
        scheduler.tick()
        assert later.read().wsl_distributions["Ubuntu"]["state"] == "Running"
        assert address(later.read()) != before
        assert scheduler.results[r"\ComfyStack\Restart"] == 0
        assert [
            line.split(" ", 1)[1] for line in later.path(RESTARTED).read_text("utf-8-sig").splitlines()
        ] == [
            "WSL ends",
            r"the task \ComfyStack\Guest starts the guest",
        ]

    def test_ends_nothing_where_nobody_would_start_the_guest(self, later: Store) -> None:
        with later.edit() as state:
            del state.scheduled_tasks[GUEST]
        register(later)
        assert run_task(later, r"\ComfyStack\Restart").code == 1
        assert later.read().wsl_distributions["Ubuntu"]["state"] == "Running"
        assert r"nothing was ended: no scheduled task \ComfyStack\Guest" in later.path(RESTARTED).read_text()


def test_windows_names_the_driver_of_each_nvidia_card_in_nvidias_own_form(store: Store) -> None:
    (store.root / "adapters.json").write_text(json.dumps(adapters(load_cards())))
    arguments = {"script": DISPLAY.read_text(), "error_action": "stop"}
    shown = run_module(store, USER, "ansible.windows.win_powershell", arguments)["result"]["adapters"]
    assert shown == [
        {"name": name, "version": "580.97", "store": "nv_dispi.inf_amd64_3f0c2b9e7d51a864", "error": 0}
        for name in ("NVIDIA GeForce RTX 3080", "NVIDIA GeForce RTX 3090")
    ]


def set_ini(store: Store, settings: list[dict[str, str]], **more: Any) -> dict[str, Any]:
    arguments = {
        "script": INI.read_text(),
        "error_action": "stop",
        "parameters": {"Path": r"%USERPROFILE%\.wslconfig", "Settings": settings},
    }
    return run_module(store, USER, "ansible.windows.win_powershell", {**arguments, **more})


class TestSettings:
    SETTING = [{"section": "wsl2", "key": "memory", "value": "8GB"}]  # noqa: RUF012

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            (None, "[wsl2]\r\nmemory=8GB\r\n"),
            ("", "[wsl2]\r\nmemory=8GB\r\n"),
            ("[wsl2]\n\n[x]\na=1\n", "[wsl2]\r\nmemory=8GB\r\n\r\n[x]\r\na=1\r\n"),
            ("[x]\nmemory=1\n", "[x]\r\nmemory=1\r\n[wsl2]\r\nmemory=8GB\r\n"),
            ("[wsl2]\n#memory=1\n", "[wsl2]\r\n#memory=1\r\nmemory=8GB\r\n"),
            ("[Wsl2]\nMemory = 1 \n", "[Wsl2]\r\nmemory=8GB\r\n"),
        ],
    )
    def test_one_key_changes_and_the_rest_stays(self, store: Store, before: str | None, after: str) -> None:
        file = wslconfig(store)
        file.parent.mkdir(parents=True)
        if before is not None:
            file.write_text(before, newline="")
        foretold = set_ini(store, self.SETTING, _ansible_check_mode=True)
        assert foretold["changed"] is True
        assert (file.read_bytes().decode() if file.exists() else None) == before
        assert set_ini(store, self.SETTING)["changed"] is True
        assert file.read_bytes().decode() == after
        assert set_ini(store, self.SETTING)["changed"] is False


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Played:
    folder = tmp_path_factory.mktemp("refused")
    machine = new_windows(folder / "machine")
    hosts: dict[str, dict[str, Any]] = {
        "mirrored": {"wsl_host_networking_mode": "mirrored"},
        "memory": {"wsl_host_memory": "half of it"},
        "networks": {"wsl_host_management_cidrs": ["192.0.2.7/24"]},
        "ports": {"wsl_host_ssh_port": 8188},
    }
    role = {"name": "WSL", "ansible.builtin.import_role": {"name": "wsl_host"}}
    with machine.running():
        before = machine.everything()
        inventory = {name: machine.as_host(**variables) for name, variables in hosts.items()}
        played = play(folder / "play", inventory, tasks=[role])
        assert machine.everything() == before
    return played


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("mirrored", "expected: Windows 11 22H2 (build 22621) or newer for mirrored networking"),
        ("memory", "found: wsl_host_memory is half of it"),
        ("networks", "found: 192.0.2.7/24 in wsl_host_management_cidrs"),
        ("ports", "found: port 8188 for the guest's SSH, and for a service too"),
    ],
)
def test_what_does_not_fit_is_told_and_nothing_is_changed(refused: Played, host: str, said: str) -> None:
    assert refused.count("failed", host) == 1
    assert said in refused.about(host).replace("\\n", "\n")
