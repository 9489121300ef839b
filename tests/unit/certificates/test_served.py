"""Verify's look at a served certificate bites on each thing that it is there for."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests.infra.served import DAYS, problem
from tests.unit.winsim.machine import SITE, Authority, new_authority


@contextmanager
def serving(folder: Path, authority: Authority, name: str, days: int) -> Iterator[tuple[str, int]]:
    """A TLS server with a certificate for `name` that ends in `days`; its address and port."""
    certificate, key = authority.issue(x509.DNSName(name), days=days)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "server.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            try:
                raw, _ = listener.accept()
                with raw, context.wrap_socket(raw, server_side=True) as secured:
                    secured.recv(1)
            except OSError:
                return

        threading.Thread(target=answer, daemon=True).start()
        yield "127.0.0.1", listener.getsockname()[1]


def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=authority.pem().decode())


def test_a_good_one_is_no_problem(tmp_path: Path) -> None:
    authority = new_authority()
    with serving(tmp_path, authority, SITE, DAYS + 1) as place:
        assert problem(SITE, place, trusting(authority)) == ""


@pytest.mark.parametrize(
    ("name", "days", "said"),
    [
        pytest.param(SITE, -1, "certificate has expired", id="expired"),
        pytest.param(SITE, DAYS, f"a certificate that ends in {DAYS - 1} days", id="soon"),
        pytest.param("other.example", 90, "Hostname mismatch", id="mismatch"),
    ],
)
def test_one_that_is_not_is_told(tmp_path: Path, name: str, days: int, said: str) -> None:
    authority = new_authority()
    with serving(tmp_path, authority, name, days) as place:
        found = problem(SITE, place, trusting(authority))
    assert said in found
    assert [line.partition(":")[0] for line in found.splitlines()] == ["found", "expected", "next step"]


def test_a_chain_that_leads_to_nobody_whom_clients_trust_is_told(tmp_path: Path) -> None:
    with serving(tmp_path, new_authority(), SITE, 90) as place:
        found = problem(SITE, place, trusting(new_authority()))
    assert "a certificate that is refused: " in found
    assert "the chain must lead to an authority that clients trust" in found


def test_nobody_at_home_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place = ("127.0.0.1", listener.getsockname()[1])
    assert "no TLS at 127.0.0.1" in problem(SITE, place, trusting(new_authority()))
