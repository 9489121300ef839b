"""tls_certificate with an authority that refuses, or a download that is not what was recorded: nothing is lost."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from .machine import Played, Windows, play
from .story import ROLES, Story

WACS = r"C:\Program Files\simple-acme\wacs.exe"
LIMIT = "too many certificates (5) already issued for this exact set of domains"


class _Authority(BaseHTTPRequestHandler):
    """An ACME server that knows everybody, and has signed enough for today."""

    def log_message(self, *_: Any) -> None:
        return

    def _answer(self, status: int, document: Any, kind: str = "application/json", **headers: str) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        all_headers = {"Content-Type": kind, "Content-Length": str(len(body)), **headers}
        for name, value in {**all_headers, "Replay-Nonce": "bm9uY2U"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Replay-Nonce", "bm9uY2U")
        self.end_headers()

    def do_GET(self) -> None:
        here = f"https://{self.headers['Host']}"
        self._answer(200, {f"new{what}": f"{here}/{what}" for what in ("Nonce", "Account", "Order")})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/Account":
            self._answer(201, {"status": "valid"}, Location=f"https://{self.headers['Host']}/account/1")
            return
        problem = {"type": "urn:ietf:params:acme:error:rateLimited", "detail": LIMIT, "status": 429}
        self._answer(429, problem, "application/problem+json")


@pytest.fixture(scope="module")
def authority(story: Story, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an authority that refuses; its own certificate is of the machine's authority."""
    certificate, key = story.machine.authority.issue(x509.IPAddress(ip_address("127.0.0.1")))
    file = tmp_path_factory.mktemp("authority") / "server.pem"
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + pem)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Authority)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://127.0.0.1:{server.server_port}/directory"
    server.shutdown()


@dataclass(frozen=True)
class Refused:
    """What Ansible said, and the run after it with the settings of before; the machines."""

    played: Played
    after: Played
    machines: dict[str, Windows]


@pytest.fixture(scope="module")
def refused(story: Story, authority: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Refused]:
    folder = tmp_path_factory.mktemp("refused")
    machines = {
        name: story.machine.copy(folder / name)
        for name in ("limited", "silent", "another-file", "no-authority")
    }
    for name in ("limited", "silent", "no-authority"):
        wacs = machines[name].memory().path(WACS)
        wacs.parent.mkdir(parents=True)
        wacs.write_text("stand-in")
    archive = folder / "simple-acme.zip"
    archive.write_bytes(b"somebody else's")
    settings: dict[str, dict[str, Any]] = {
        "limited": {},
        "silent": {"tls_certificate_acme_url": "https://127.0.0.1:1/directory"},
        "another-file": {"tls_certificate_simple_acme": {"source": str(archive), "sha256": "0" * 64}},
        "no-authority": {"tls_certificate_acme_ca_file": ""},
    }
    with ExitStack() as stack:
        for machine in machines.values():
            stack.enter_context(machine.running())
        hosts = {
            name: machine.as_host(
                **{
                    "tls_certificate_mode": "acme",
                    "tls_certificate_acme_url": authority,
                    "tls_certificate_acme_email": "operator@comfystack.test",
                    "tls_certificate_acme_accept_terms": True,
                    "tls_certificate_acme_ca_file": str(machine.folder / "ca.pem"),
                    **settings[name],
                }
            )
            for name, machine in machines.items()
        }
        played = play(folder / "play", hosts, tasks=ROLES)
        again = {name: machine.as_host() for name, machine in machines.items()}
        yield Refused(played, play(folder / "after", again, tasks=ROLES), machines)


SAID = {
    "limited": [
        f"urn:ietf:params:acme:error:rateLimited: {LIMIT}",
        "next step: wait as long as the authority says, and do not try again before",
    ],
    "silent": ["Connection refused", "Windows must reach the authority; then run this again"],
    "another-file": ["expected: SHA-256 " + "0" * 64, "next step: find out why it is another file"],
    "no-authority": ["chain: UntrustedRoot", "What was bound before stays bound"],
}


@pytest.mark.parametrize("host", SAID)
def test_it_is_told_what_was_found_and_what_to_do(refused: Refused, host: str) -> None:
    assert refused.played.count("failed", host) == 1, refused.played.about(host)
    said = " ".join(refused.played.about(host).replace("\\n", " ").split())
    assert [words for words in SAID[host] if words not in said] == [], refused.played.about(host)


@pytest.mark.parametrize("host", SAID)
def test_what_was_bound_stays_bound_and_nothing_half_done_is_left(
    refused: Refused, story: Story, host: str
) -> None:
    now, before = refused.machines[host].memory().read(), story.memory.read()
    assert now.sites == before.sites
    assert now.certificates["WebHosting"] == before.certificates["WebHosting"]
    assert now.scheduled_tasks == before.scheduled_tasks
    assert not list(refused.machines[host].drive().rglob("*.renewal.json"))
    assert not list(refused.machines[host].drive().rglob("simple-acme.zip"))


@pytest.mark.parametrize("host", SAID)
def test_the_next_run_converges(refused: Refused, host: str) -> None:
    assert refused.after.count("failed", host) == 0, refused.after.about(host)
    assert refused.after.count("changed", host) == 0, refused.after.about(host)


def test_a_file_that_is_not_the_recorded_one_is_not_unpacked(refused: Refused) -> None:
    assert not refused.machines["another-file"].memory().path(WACS).exists()
