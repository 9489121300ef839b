"""A guest is made on a Windows from the shelf, whatever gets in between; one that exists is left as it is."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.lab.windows_host.winsim.machine import WSL_EXE, WSL_FEATURES

from .machine import USER, Played, Windows, new_windows, play
from .shelf import PREFLIGHT, PROVISION, Stores, hosts, provision, sha


@pytest.fixture(scope="module")
def made(empty: Windows, stores: Stores, tmp_path_factory: pytest.TempPathFactory) -> tuple[Windows, Played]:
    folder = tmp_path_factory.mktemp("made")
    machine = empty.copy(folder / "machine")
    with machine.running():
        first = provision(folder / "first", machine, stores)
    assert first.exit_code == 0, first.output
    return machine, first


class TestFromTheShelf:
    def test_the_guest_exists_runs_and_belongs_to_the_account(self, made: tuple[Windows, Played]) -> None:
        state = made[0].memory().read()
        guest = state.wsl_distributions["Ubuntu"]
        assert (guest["state"], guest["owner"]) == ("Running", USER)
        assert {line.connect_address for line in state.portproxy} == {guest["address"]}

    def test_windows_has_restarted_once_and_nothing_waits(self, made: tuple[Windows, Played]) -> None:
        state = made[0].memory().read()
        assert (state.boots, state.features_pending) == (2, [])

    def test_the_host_key_is_known_under_the_name_that_ssh_looks_for(
        self, made: tuple[Windows, Played], stores: Stores
    ) -> None:
        assert (stores.folder / "known_hosts").read_text().startswith("[192.0.2.7]:2222 ssh-ed25519 ")

    def test_nothing_is_left_to_do_and_nothing_is_brought_again(
        self, made: tuple[Windows, Played], stores: Stores, tmp_path: Path
    ) -> None:
        machine = made[0].copy(tmp_path / "machine")
        with machine.running():
            second = provision(tmp_path / "second", machine, stores)
        assert second.exit_code == 0, second.output
        assert second.count("changed", "win") == 0
        assert "WSL's package is at hand" not in second.output

    def test_check_mode_tells_and_changes_nothing(
        self, empty: Windows, stores: Stores, tmp_path: Path
    ) -> None:
        machine = empty.copy(tmp_path / "machine")
        with machine.running():
            before = machine.everything()
            told = provision(tmp_path / "check", machine, stores, "--check")
            assert machine.everything() == before
        assert told.exit_code == 0, told.output
        assert told.count("changed", "win") > 5


# Host -> what is wrong with its settings, and what preflight says.
SETTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "no-sum": (
        {"wsl_host_rootfs": {"source": "https://example.org/rootfs.tar.gz", "sha256": ""}},
        "next step: write there what `curl -fsSL https://example.org/rootfs.tar.gz | sha256sum` prints",
    ),
    "no-source": (
        {"wsl_host_package": {"source": "", "sha256": ""}},
        "found: wsl_host_package.source is empty",
    ),
    "no-key": ({"wsl_host_guest_key": ""}, "found: wsl_host_guest_key is empty"),
}


def test_what_stands_in_the_way_is_told_and_nothing_is_changed(
    empty: Windows, stores: Stores, tmp_path: Path
) -> None:
    good = empty.copy(tmp_path / "good")
    bad = new_windows(tmp_path / "bad", flavour="windows-11", empty=True)
    with bad.memory().edit() as state:
        state.virtualization = False
        state.cards = [{"name": "NVIDIA RTX A6000", "driver_model": "TCC"}]
    server = new_windows(tmp_path / "server", empty=True)
    machines = (good, bad, server)
    with good.running(), bad.running(), server.running():
        before = [machine.everything() for machine in machines]
        inventory = {
            name: good.as_host(**stores.as_variables(**more)) for name, (more, _) in SETTINGS.items()
        }
        inventory["bad"] = bad.as_host(**stores.as_variables())
        inventory["server"] = server.as_host(**stores.as_variables())
        inventory["inside"] = good.as_host(**stores.as_variables(wsl_host_guest="here"))
        inventory["guest"] = hosts(good, stores)["guest"]
        inventory["here"] = {"ansible_connection": "local"}
        played = play(tmp_path / "play", inventory, [{"hosts": "all:!guest:!here", "tasks": [PREFLIGHT]}])
        assert [machine.everything() for machine in machines] == before
    said = {name: words for name, (_, words) in SETTINGS.items()}
    said["inside"] = "expected: the distribution that Ansible runs in, which is there"
    said["bad"] = "found: bad without virtualisation"
    said["server"] = (
        "next step: where you know that this one hands its cards to WSL, set wsl_host_cards_on_server"
    )
    for host, words in said.items():
        assert words in played.about(host).replace("\\n", "\n"), played.output
    assert "found: NVIDIA RTX A6000 in the driver model TCC" in played.about("bad")


def test_what_goes_wrong_on_the_way_is_told_and_the_next_run_goes_on(
    empty: Windows, stores: Stores, tmp_path: Path
) -> None:
    names = ("wrong-file", "occupied", "no-restart", "cut-off")
    machines = {name: empty.copy(tmp_path / name) for name in names}
    occupied = machines["occupied"].memory().path(r"C:\WSL\Ubuntu")
    occupied.mkdir(parents=True)
    (occupied / "ext4.vhdx").write_text("somebody's")
    more: dict[str, dict[str, Any]] = {
        "wrong-file": {"wsl_host_package": {"source": f"{stores.url}/wsl.msi", "sha256": sha(b"another")}},
        "no-restart": {"wsl_host_may_restart": False},
        # As if the first start could not get its packages: it is told, and the distribution exists by then.
        "cut-off": {"wsl_host_import_dir": r"C:\WSL\Ubuntu"},
    }
    tasks = [PREFLIGHT, PROVISION]
    with ExitStack() as stack:
        for machine in machines.values():
            stack.enter_context(machine.running())
        _cut_off(machines["cut-off"])
        inventory = {
            name: machine.as_host(**stores.as_variables(**more.get(name, {})))
            for name, machine in machines.items()
        }
        inventory["guest"] = hosts(empty, stores)["guest"]
        played = play(tmp_path / "play", inventory, [{"hosts": "all:!guest", "tasks": tasks}])
    said = {
        "wrong-file": f"expected: SHA-256 {sha(b'another')}, as wsl_host_package.sha256 has it",
        "occupied": r"found: C:\WSL\Ubuntu is not empty, and no distribution Ubuntu",
        "no-restart": "next step: restart Windows, and run this again",
    }
    for host, words in said.items():
        assert words in played.about(host).replace("\\\\", "\\"), played.output
        assert "Ubuntu" not in machines[host].memory().read().wsl_distributions
    assert (occupied / "ext4.vhdx").read_text() == "somebody's"
    assert played.count("failed", "cut-off") == 0, played.output
    ready = machines["cut-off"].memory()
    assert ready.read().wsl_distributions["Ubuntu"]["state"] == "Running"
    assert not ready.path(BEGUN).exists()


BEGUN = r"C:\Program Files\ComfyStack\Ubuntu.begun"


def _cut_off(machine: Windows) -> None:
    """Everything is there but the first start."""
    memory = machine.memory()
    for path in (WSL_EXE, BEGUN):
        memory.path(path).parent.mkdir(parents=True, exist_ok=True)
        memory.path(path).write_text("2.6.1.0")
    with memory.edit() as state:
        state.features.update(dict.fromkeys(WSL_FEATURES, True))
        state.wsl_distributions["Ubuntu"] = {
            "state": "Stopped",
            "guest": "localhost",
            "address": "",
            "owner": USER,
        }
