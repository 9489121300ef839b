"""The lab's certificate authority, certificates, keys and passwords: made once per lab, kept 0600 in build/.

Nothing here is a secret of anybody's site; it is handled as if it were, so that the roles are used as they are.
"""

from __future__ import annotations

import datetime
import ipaddress
import secrets as random
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from .names import DOMAIN, FORGE_NAMES, PUBLIC_NAME

WINDOWS_USER = "ansible"
VALID_DAYS = 397


def _write(path: Path, content: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.chmod(mode)
    path.write_bytes(content)


def _pem_key(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _builder(common_name: str, issuer: x509.Name | None = None) -> x509.CertificateBuilder:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer or subject)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
    )


class Authority:
    """A certificate authority of one lab."""

    def __init__(self, name: str) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        public = self.key.public_key()
        self.certificate = (
            _builder(f"ComfyStack lab {name}")
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=True,
                    key_cert_sign=True,
                    crl_sign=True,
                    content_commitment=False,
                    key_encipherment=False,
                    data_encipherment=False,
                    key_agreement=False,
                    encipher_only=False,
                    decipher_only=False,
                ),
                critical=True,
            )
            .public_key(public)
            .sign(self.key, hashes.SHA256())
        )

    def issue(self, names: list[str]) -> tuple[rsa.RSAPrivateKey, x509.Certificate]:
        """Key and server certificate for DNS names or IP addresses. RSA, because IIS of 2022 expects it."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        alternatives: list[x509.GeneralName] = []
        for name in names:
            try:
                alternatives.append(x509.IPAddress(ipaddress.ip_address(name)))
            except ValueError:
                alternatives.append(x509.DNSName(name))
        authority_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        certificate = (
            _builder(names[0], self.certificate.subject)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(authority_id, critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .public_key(key.public_key())
            .sign(self.key, hashes.SHA256())
        )
        return key, certificate


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _ssh_key(path: Path, comment: str) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    _write(path, private, 0o600)
    _write(path.with_suffix(".pub"), public + f" {comment}\n".encode(), 0o644)


def ensure(folder: Path, lab: str) -> None:
    """Makes what is missing in `folder`; what is there is kept, so that a second run changes nothing.

    Files: ca.pem (to which the roots of pebble come, see authority.py), tls/authority.pem,
    tls/{winrm,site,acme}.{crt,key}, tls/site.pfx, ssh/{siteadmin,host}[.pub], windows-password,
    windows-users, site-pfx-password, token.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    for name in ("windows-password", "site-pfx-password"):
        if not (folder / name).exists():
            _write(folder / name, random.token_urlsafe(24).encode(), 0o600)
    password = (folder / "windows-password").read_bytes()
    _write(folder / "windows-users", f"{WINDOWS_USER}:".encode() + password + b"\n", 0o600)
    if not (folder / "token").exists():
        # Hexadecimal only: it goes through headers, maps and shells without quoting.
        _write(folder / "token", random.token_hex(32).encode() + b"\n", 0o600)
    for name in ("siteadmin", "host"):
        if not (folder / "ssh" / name).exists():
            _ssh_key(folder / "ssh" / name, f"{name}@comfystack-{lab}")
    # The authority's key is never kept: all its certificates are made together, or made anew together.
    if not (folder / "tls" / "acme.crt").exists():
        authority = Authority(lab)
        winrm_key, winrm = authority.issue(["windows-host", "127.0.0.1", "localhost"])
        site_key, site = authority.issue([PUBLIC_NAME, *FORGE_NAMES, f"*.{DOMAIN}"])
        password = (folder / "site-pfx-password").read_bytes()
        _write(folder / "ca.pem", _pem(authority.certificate), 0o644)
        _write(folder / "tls" / "authority.pem", _pem(authority.certificate), 0o644)
        _write(folder / "tls" / "winrm.crt", _pem(winrm), 0o644)
        _write(folder / "tls" / "winrm.key", _pem_key(winrm_key), 0o600)
        _write(folder / "tls" / "site.crt", _pem(site), 0o644)
        pfx = pkcs12.serialize_key_and_certificates(
            PUBLIC_NAME.encode(),
            site_key,
            site,
            [authority.certificate],
            serialization.BestAvailableEncryption(password),
        )
        _write(folder / "tls" / "site.pfx", pfx, 0o600)
        acme_key, acme = authority.issue(["acme"])
        _write(folder / "tls" / "acme.key", _pem_key(acme_key), 0o600)
        _write(folder / "tls" / "acme.crt", _pem(acme), 0o644)
