"""The client under test, its scripted server, and certificates made for one run."""

from __future__ import annotations

import datetime
import ssl
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

# The package stands in its own room, with its own pyproject; the tests run it from there.
sys.path.insert(0, str(Path(__file__).parents[3] / "comfyui" / "client"))

from comfystack import ComfyClient, ImageRef, graphs, jobs

from .scripted import ScriptedServer

Connect = Callable[..., ComfyClient]
GRAPH = graphs.edit("edit", [ImageRef("photo.png", type="input")], "make it blue", seed=1)
SAVED = (ImageRef("edit_00001_.png", "comfystack"),)
PUBLIC_NAME = "qwen-image-edit.comfystack.test"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same waits in the same order, shorter."""
    monkeypatch.setattr(jobs, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(jobs, "SILENCE_SECONDS", 0.1)
    monkeypatch.setattr(jobs, "SETTLE_SECONDS", 0.01)
    monkeypatch.setattr(jobs, "REDIAL_SECONDS", 0.02)


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of whoever runs the tests stay out of them."""
    for name in ("URL", "TOKEN_FILE", "CA_FILE", "CONNECT_TO", "ACCESS"):
        monkeypatch.delenv(f"COMFYSTACK_{name}", raising=False)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Makes clients that are closed when the test ends."""
    clients: list[ComfyClient] = []

    def make(server: ScriptedServer, token: str | None = None, timeout: float = 10) -> ComfyClient:
        clients.append(ComfyClient(server.url, token, timeout=timeout))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@dataclass(frozen=True)
class Site:
    """A CA and a server certificate for PUBLIC_NAME; `other_ca` signed neither."""

    ca: Path
    other_ca: Path
    certificate: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("site")
    ca_key, ca = _certificate("Test CA", None, None)
    _, other = _certificate("Other CA", None, None)
    key, leaf = _certificate(PUBLIC_NAME, ca_key, ca)
    site = Site(folder / "ca.pem", folder / "other.pem", folder / "cert.pem", folder / "key.pem")
    for path, certificate in ((site.ca, ca), (site.other_ca, other), (site.certificate, leaf)):
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    site.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return site


def _certificate(
    name: str, issuer_key: ec.EllipticCurvePrivateKey | None, issuer: x509.Certificate | None
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    signer = issuer_key or key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if issuer is None:
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        builder = builder.add_extension(usage, critical=True)
    else:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    return key, builder.sign(signer, hashes.SHA256())
