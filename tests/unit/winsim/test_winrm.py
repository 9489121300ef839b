"""The simulated machine speaks to the real ansible-core, and to nobody it should not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .machine import Played, Windows, new_authority, play

CONTENT = bytes(range(256)) * 3000  # several chunks of WinRM
UNMODELLED: dict[str, dict[str, Any]] = {
    "module": {"ansible.windows.win_shell": {"_raw_params": "whoami"}},
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
FACTS = "{{ ansible_facts.os_family }}, {{ ansible_facts.distribution }}, {{ ansible_facts.distribution_version }}"


@dataclass(frozen=True)
class Talk:
    """One run of Ansible with several hosts, all of them the same machine, and where it left its files."""

    played: Played
    folder: Path
    state_before: dict[str, Any]


@pytest.fixture(scope="module")
def talk(windows: Windows, tmp_path_factory: pytest.TempPathFactory) -> Talk:
    folder = tmp_path_factory.mktemp("talk")
    (folder / "other.pem").write_bytes(new_authority().pem())
    (folder / "bytes.bin").write_bytes(CONTENT)
    hosts = {
        "friend": windows.as_host(),
        "stranger": windows.as_host(ansible_password="wrong"),  # noqa: S106
        "misled": windows.as_host(ansible_winrm_ca_trust_path=str(folder / "other.pem")),
        "courier": windows.as_host(),
        "dreamer": windows.as_host(),
    }
    copy = {"src": str(folder / "bytes.bin"), "dest": r"c:\users\Here.bin"}
    fetch = {"src": copy["dest"], "dest": f"{folder}/back", "flat": True}
    plays: list[dict[str, Any]] = [
        {
            "hosts": "friend,stranger,misled",
            "gather_facts": True,
            "tasks": [
                {"name": "Ping", "ansible.windows.win_ping": {}},
                {"name": "Facts", "ansible.builtin.debug": {"msg": FACTS}},
            ],
        },
        {
            "hosts": "courier",
            "tasks": [
                {"name": "Copy", "ansible.windows.win_copy": copy},
                {"name": "Again", "ansible.windows.win_copy": copy, "register": "again"},
                {"name": "Check", "ansible.builtin.assert": {"that": "again is not changed"}},
                {"name": "Back", "ansible.builtin.fetch": fetch},
            ],
        },
        {
            "hosts": "dreamer",
            "tasks": [{"name": name, **task, "ignore_errors": True} for name, task in UNMODELLED.items()],
        },
    ]
    before = windows.state()
    return Talk(play(folder / "play", hosts, plays), folder, before)


def test_it_reports_itself_as_windows_server_2022(talk: Talk) -> None:
    assert "Windows, Microsoft Windows Server 2022 Standard, 10.0.20348.0" in talk.played.about("friend")
    assert talk.played.count("failed", "friend") == talk.played.count("unreachable", "friend") == 0


def test_a_wrong_password_is_refused(talk: Talk) -> None:
    assert talk.played.count("unreachable", "stranger") == 1
    assert "the specified credentials were rejected by the server" in talk.played.about("stranger")


def test_ansible_refuses_a_machine_whose_certificate_another_authority_signed(talk: Talk) -> None:
    assert talk.played.count("unreachable", "misled") == 1
    assert "CERTIFICATE_VERIFY_FAILED" in talk.played.about("misled")


def test_a_file_arrives_byte_for_byte_and_only_once(talk: Talk, windows: Windows) -> None:
    assert talk.played.count("failed", "courier") == 0, talk.played.about("courier")
    assert windows.drive("c", "Users", "Here.bin").read_bytes() == CONTENT
    assert (talk.folder / "back").read_bytes() == CONTENT


@pytest.mark.parametrize(
    "named",
    [
        "does not model the module 'ansible.windows.win_shell'",
        "Unsupported parameters for (ansible.windows.win_file) module: owner",
        "does not model win_file with state=touch",
        "does not model the Windows feature 'Web-Ftp-Server'",
        "does not know the script with SHA-256",
        "does not model this script (the `raw` module?)",
        "does not model become with logon_type=Interactive as SYSTEM",
    ],
)
def test_what_is_not_modelled_fails_and_is_named(talk: Talk, windows: Windows, named: str) -> None:
    assert named in talk.played.about("dreamer")
    assert talk.played.count("ok", "dreamer") == talk.played.count("ignored", "dreamer") == len(UNMODELLED)
    assert windows.state() == talk.state_before
