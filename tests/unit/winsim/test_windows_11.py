"""The same roles on a Windows 11, which has no Server Manager."""

from __future__ import annotations

from pathlib import Path

from tests.lab.windows_host.winsim.modules import run_module
from tests.lab.windows_host.winsim.state import Store

from .machine import SITE, USER, new_windows, play
from .story import ROLES


def test_the_roles_pass_and_find_nothing_to_do_the_second_time(tmp_path: Path) -> None:
    machine = new_windows(tmp_path / "machine", flavour="windows-11")
    with machine.running():
        before = machine.everything()
        foretold = play(tmp_path / "check", {"win": machine.as_host()}, None, "--check", tasks=ROLES[:2])
        assert foretold.exit_code == 0, foretold.output
        assert machine.everything() == before
        first = play(tmp_path / "first", {"win": machine.as_host()}, tasks=ROLES)
        assert first.exit_code == 0, first.output
        second = play(tmp_path / "second", {"win": machine.as_host()}, tasks=ROLES)
        assert second.exit_code == 0, second.output
    assert second.count("changed", "win") == 0, second.output
    state = machine.memory().read()
    assert state.sites[SITE].bindings[1].certificate_hash
    assert state.features["Web-WebSockets"]


def test_a_feature_without_its_parent_is_refused_as_dism_refuses_it(store: Store) -> None:
    said = run_module(store, USER, "ansible.windows.win_optional_feature", {"name": ["IIS-WebSockets"]})
    assert said["failed"]
    assert "parent features are disabled" in said["msg"]
