"""A reboot by the real win_reboot: the connection drops, the machine comes back, what was volatile is gone."""

from __future__ import annotations

from pathlib import Path

from tests.lab.windows_host.winsim.machine import FLAVOURS

from .machine import new_windows, play

FACTS = "{{ ansible_facts.distribution }}, {{ ansible_facts.reboot_pending }}"


def test_the_machine_goes_down_and_comes_back(tmp_path: Path) -> None:
    machine = new_windows(tmp_path / "machine")
    features = {"name": ["VirtualMachinePlatform", "Microsoft-Windows-Subsystem-Linux"]}
    with machine.memory().edit() as state:
        state.flavour = "windows-11"
        state.features.clear()
        state.services["manual"] = {"display_name": "m", "state": "started", "start_mode": "manual"}
    tasks = [
        {"name": "Features", "ansible.windows.win_optional_feature": features, "register": "asked"},
        {"name": "Asked", "ansible.builtin.assert": {"that": "asked.reboot_required"}},
        {"name": "Reboot", "ansible.windows.win_reboot": {}},
        {"name": "Again", "ansible.windows.win_optional_feature": features, "register": "again"},
        {
            "name": "Done",
            "ansible.builtin.assert": {"that": "again is not changed and not again.reboot_required"},
        },
        {"name": "Facts", "ansible.windows.setup": {}},
        {"name": "Say", "ansible.builtin.debug": {"msg": FACTS}},
    ]
    with machine.running():
        played = play(tmp_path / "play", {"win": machine.as_host()}, tasks=tasks)
        assert played.exit_code == 0, played.output
    assert f"{FLAVOURS['windows-11'].distribution}, False" in played.output
    state = machine.memory().read()
    assert state.boots == 2
    assert state.services["manual"]["state"] == "stopped"
