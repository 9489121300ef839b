"""After a restart of Windows everything answers again, and nobody has run Ansible."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
import warnings
from pathlib import Path

from tests.lab.names import PUBLIC_NAME

from .engine_view import ask
from .running import Done
from .site import Lab

# Several times what systemd, Docker and ComfyUI take on two busy cores: it ends what hangs, not what is slow.
SECONDS = 300


def status(lab: Lab) -> int:
    """What the public name answers to a request with the token; 0 where nobody answers."""
    host, _, port = lab.access["connect_to"][PUBLIC_NAME].rpartition(":")
    token = Path(lab.access["token_file"]).read_text().strip()
    context = ssl.create_default_context(cafile=lab.access["ca_file"])
    try:
        with socket.create_connection((host, int(port)), timeout=10) as raw:
            connection = http.client.HTTPConnection(PUBLIC_NAME, timeout=10)
            connection.sock = context.wrap_socket(raw, server_hostname=PUBLIC_NAME)
            connection.request("GET", "/system_stats", headers={"Authorization": f"Bearer {token}"})
            return connection.getresponse().status
    except OSError:
        return 0


def speaks_tls_1_1(lab: Lab) -> bool:
    """Whether somebody who knows nothing newer is let in."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(lab.access["ca_file"])
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    host, _, port = lab.access["connect_to"][PUBLIC_NAME].rpartition(":")
    try:
        with (
            socket.create_connection((host, int(port)), timeout=10) as raw,
            context.wrap_socket(raw, server_hostname=PUBLIC_NAME) as secured,
        ):
            return secured.version() == "TLSv1.1"
    except (ssl.SSLError, ConnectionError):
        return False


def test_after_a_reboot_everything_answers_again_without_ansible(lab: Lab, deployed: Done) -> None:
    assert status(lab) == 200
    assert speaks_tls_1_1(lab), "what the deployment has set counts from the restart on"
    ask("reboot", lab.names.lab)
    deadline = time.monotonic() + SECONDS
    while (found := status(lab)) != 200:
        assert time.monotonic() < deadline, (
            f"the public name answers {found} (0: nobody), {SECONDS} s after the reboot"
        )
        time.sleep(1)
    assert not speaks_tls_1_1(lab)
    lab.verify("after-the-reboot", "token_opens or websocket or edit").ended_well()


def test_the_guest_came_back_at_another_address_and_the_port_proxy_followed(lab: Lab, deployed: Done) -> None:
    guest = lab.windows(
        "guest-after-the-reboot",
        "ansible.windows.win_powershell",
        **{
            "path": "roles/wsl_host/files/Get-WslGuest.ps1",
            "error_action": "stop",
            "parameters": {"Distribution": "Ubuntu"},
        },
    )
    assert "running: true" in guest.output, guest
    # The machine's first address is .2.2; the deployment led there, and nobody but the boot task leads elsewhere.
    assert "address: 172.29.3.2" in guest.output, guest


def test_the_next_deployment_has_nothing_to_repair(lab: Lab, deployed: Done) -> None:
    again = lab.play("deploy-after-reboot").ended_well()
    assert again.changed() == {"gpu-host": 0, "windows-host": 0}, again
