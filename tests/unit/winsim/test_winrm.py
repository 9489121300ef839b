"""The simulated machine speaks to the real ansible-core, and to nobody it should not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .machine import Played, Windows, new_authority

PING = [{"name": "Ping", "ansible.windows.win_ping": {}}]


def test_it_reports_itself_as_windows_server_2022(windows: Windows) -> None:
    played = windows.play(
        [
            *PING,
            {
                "name": "Facts",
                "ansible.builtin.debug": {
                    "msg": "{{ ansible_facts.os_family }}, {{ ansible_facts.distribution }}, "
                    "{{ ansible_facts.distribution_version }}"
                },
            },
        ]
    )
    assert played.exit_code == 0, played.output
    assert "Windows, Microsoft Windows Server 2022 Standard, 10.0.20348.0" in played.output


def test_a_wrong_password_is_refused(windows: Windows) -> None:
    played = windows.play(PING, gather_facts=False, ansible_password="wrong")  # noqa: S106
    assert played.count("unreachable") == 1
    assert "the specified credentials were rejected by the server" in played.output


def test_ansible_refuses_a_machine_whose_certificate_another_authority_signed(
    windows: Windows, tmp_path: Path
) -> None:
    (tmp_path / "other.pem").write_bytes(new_authority().pem())
    played = windows.play(PING, gather_facts=False, ansible_winrm_ca_trust_path=str(tmp_path / "other.pem"))
    assert played.count("unreachable") == 1
    assert "CERTIFICATE_VERIFY_FAILED" in played.output


@pytest.fixture(scope="module")
def unmodelled(windows: Windows) -> Played:
    """One play full of things that the machine must not pretend to do."""
    unknown: dict[str, dict[str, Any]] = {
        "module": {"ansible.windows.win_command": {"_raw_params": "whoami"}},
        "argument": {"ansible.windows.win_file": {"path": r"C:\x", "state": "directory", "owner": "me"}},
        "value": {"ansible.windows.win_file": {"path": r"C:\x", "state": "touch"}},
        "feature": {"ansible.windows.win_feature": {"name": "Web-Ftp-Server"}},
        "script": {"ansible.windows.win_powershell": {"script": "Get-Date", "error_action": "stop"}},
        "raw": {"ansible.builtin.raw": "Get-Date"},
        "become": {
            "ansible.windows.win_ping": {},
            "become": True,
            "become_method": "ansible.builtin.runas",
            "become_user": "SYSTEM",
        },
    }
    tasks = [{"name": name, **task, "ignore_errors": True} for name, task in unknown.items()]
    before = windows.state()
    played = windows.play(tasks, gather_facts=False)
    assert windows.state() == before
    return played


@pytest.mark.parametrize(
    "named",
    [
        "does not model the module 'ansible.windows.win_command'",
        "Unsupported parameters for (ansible.windows.win_file) module: owner",
        "does not model win_file with state=touch",
        "does not model the Windows feature 'Web-Ftp-Server'",
        "does not know the script with SHA-256",
        "does not model this script (the `raw` module?)",
        "does not model ['become_wrapper.ps1']",
    ],
)
def test_what_is_not_modelled_fails_and_is_named(unmodelled: Played, named: str) -> None:
    assert named in unmodelled.output
    assert unmodelled.count("ok") == unmodelled.count("ignored") == 7


def test_a_file_arrives_byte_for_byte_and_only_once(windows: Windows, tmp_path: Path) -> None:
    content = bytes(range(256)) * 3000  # several chunks of WinRM
    (tmp_path / "bytes.bin").write_bytes(content)
    copy = {"src": str(tmp_path / "bytes.bin"), "dest": r"c:\users\Here.bin"}
    tasks = [
        {"name": "Copy", "ansible.windows.win_copy": copy},
        {"name": "Again", "ansible.windows.win_copy": copy, "register": "again"},
        {"name": "Check", "ansible.builtin.assert": {"that": "again is not changed"}},
        {
            "name": "Back",
            "ansible.builtin.fetch": {"src": copy["dest"], "dest": f"{tmp_path}/back", "flat": True},
        },
    ]
    played = windows.play(tasks, gather_facts=False)
    assert played.exit_code == 0, played.output
    assert windows.drive("c", "Users", "Here.bin").read_bytes() == content
    assert (tmp_path / "back").read_bytes() == content
