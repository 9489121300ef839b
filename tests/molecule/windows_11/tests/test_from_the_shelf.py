"""A Windows 11 from the shelf has a guest that lets Ansible in, and IIS in front of it."""

from __future__ import annotations

import http.client
import json
from pathlib import Path

from testinfra.host import Host

from tests.lab.names import PUBLIC_NAME


def test_the_guest_lets_in_the_account_that_was_made_for_ansible_and_nobody_else(
    guest: Host, lab: Path
) -> None:
    key = (lab / "ssh" / "siteadmin.pub").read_text().strip()
    assert guest.file("/home/siteadmin/.ssh/authorized_keys").content_string.strip() == key
    assert guest.check_output(
        "stat -c '%U %a' /home/siteadmin/.ssh /home/siteadmin/.ssh/authorized_keys"
    ) == ("siteadmin 700\nsiteadmin 600")


def test_systemd_runs_the_guest_because_wsl_conf_says_so(guest: Host) -> None:
    assert "systemd=true" in guest.file("/etc/wsl.conf").content_string
    assert guest.service("ssh").is_running
    assert guest.service("ssh").is_enabled


def test_the_controller_knows_the_guests_own_host_key(guest: Host, lab: Path) -> None:
    own = guest.file("/etc/ssh/ssh_host_ed25519_key.pub").content_string.split()[1]
    assert own in (lab / "ssh" / "known_hosts").read_text()


def test_iis_answers_for_the_public_name(lab: Path) -> None:
    record = json.loads((lab / "lab.json").read_text())
    connection = http.client.HTTPConnection(record["address"], record["ports"]["http"], timeout=30)
    connection.request("GET", "/", headers={"Host": PUBLIC_NAME})
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("Location")) == (301, f"https://{PUBLIC_NAME}/")
