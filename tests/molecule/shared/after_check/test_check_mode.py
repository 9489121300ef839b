"""A check tells what it would change, and changes nothing, on whichever hosts the scenario has."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from pathlib import Path

import pytest
from testinfra.host import Host

from tests.molecule.names import ROOT, lab_name
from tests.molecule.windows_state import digest

BUILD = ROOT / "build" / lab_name(os.environ["MOLECULE_SCENARIO_NAME"])
RECORD = json.loads((BUILD / "lab.json").read_text())
PARTS = RECORD["parts"]
# Left out: where Ansible puts the module it runs, apt's copy of its own index in another form, and what a
# running system writes by itself.
_PLACES = "/etc /home /opt /root /srv /usr /var"
_LEFT_OUT = ("*/.ansible", "/var/cache/apt", "/var/lib/systemd", "/var/log", "/var/tmp")  # noqa: S108


def on_the_guest(guest: Host, lab: Path) -> None:
    if RECORD["windows"] == "windows-11":
        # The check has made no guest, so nobody answers.
        with (
            contextlib.suppress(ConnectionError),
            socket.create_connection((RECORD["address"], RECORD["ports"]["ssh"]), timeout=10) as probe,
        ):
            assert probe.recv(4) == b""
        return
    assert guest.file("/run/before-check").exists
    left_out = " -o ".join(f"-path '{path}'" for path in _LEFT_OUT)
    changed = guest.check_output(
        rf"find {_PLACES} -xdev \( {left_out} \) -prune -o -cnewer /run/before-check -print"
    )
    # A folder in which one of these was made is newer too.
    parents = ("/home/siteadmin", "/root", "/var/cache")
    assert [path for path in changed.splitlines() if path not in parents] == []


def on_windows(_guest: Host, lab: Path) -> None:
    assert digest(lab.name) == (lab / "windows-before-check").read_text().strip()


LOOKS = {"gpu-host": on_the_guest, "windows-host": on_windows}


@pytest.mark.parametrize("part", [part for part in PARTS if part in LOOKS])
def test_the_check_left_every_host_as_it_was(guest: Host, lab: Path, part: str) -> None:
    LOOKS[part](guest, lab)
