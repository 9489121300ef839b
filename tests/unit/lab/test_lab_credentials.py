"""A lab's keys are made once, are its owner's alone, and their certificates are ones that clients accept."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.verification import PolicyBuilder, Store

from tests.lab import credentials
from tests.lab.names import PUBLIC_NAME

SECRETS = (
    "token", "windows-password", "windows-users", "site-pfx-password",
    "tls/winrm.key", "tls/site.pfx", "ssh/siteadmin", "ssh/host",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("lab") / "build"
    credentials.ensure(made, "unit")
    return made


@pytest.mark.parametrize("name", SECRETS)
def test_only_its_owner_reads_a_secret(folder: Path, name: str) -> None:
    assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_making_them_again_changes_nothing(folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    credentials.ensure(folder, "unit")
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(("file", "name"), [("site.crt", PUBLIC_NAME), ("winrm.crt", "localhost")])
def test_a_client_that_trusts_the_labs_authority_accepts_the_certificate(
    folder: Path, file: str, name: str
) -> None:
    authority = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
    certificate = x509.load_pem_x509_certificate((folder / "tls" / file).read_bytes())
    verifier = PolicyBuilder().store(Store([authority])).build_server_verifier(x509.DNSName(name))
    assert verifier.verify(certificate, []) == [certificate, authority]


def test_the_pfx_holds_the_certificate_its_key_and_the_authority(folder: Path) -> None:
    password = (folder / "site-pfx-password").read_bytes()
    content = (folder / "tls" / "site.pfx").read_bytes()
    key, certificate, more = pkcs12.load_key_and_certificates(content, password)
    assert key is not None
    assert certificate == x509.load_pem_x509_certificate((folder / "tls" / "site.crt").read_bytes())
    assert more == [x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())]
    with pytest.raises(ValueError, match="password"):
        pkcs12.load_key_and_certificates(content, b"another")


def test_two_labs_have_no_secret_in_common(folder: Path, tmp_path: Path) -> None:
    credentials.ensure(tmp_path, "other")
    for name in SECRETS:
        assert (tmp_path / name).read_bytes() != (folder / name).read_bytes()
