"""A simulated Windows machine on a loopback port, with its own CA, for the tests of this folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12

REPOSITORY = Path(__file__).parents[3]
SITE = "qwen-image-edit.comfystack.test"
USER, PASSWORD = "operator", "Correct-Horse-7"
PFX_PASSWORD = "battery-staple"  # noqa: S105


@dataclass(frozen=True)
class Authority:
    """A CA that signs for the tests."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(
        self, *names: x509.GeneralName, days: int = 30
    ) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        key = ec.generate_private_key(ec.SECP256R1())
        return _sign(str(names[0].value), key, self, list(names), days), key


def _sign(
    subject: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: Authority | None,
    names: list[x509.GeneralName],
    days: int,
) -> x509.Certificate:
    now = datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.certificate.subject if issuer else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=60))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(issuer.key if issuer else key, hashes.SHA256())


def new_authority() -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    return Authority(_sign("tests", key, None, [], 365), key)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


@dataclass
class Windows:
    """A running machine: `state()` is what it remembers, `play()` lets Ansible loose on it."""

    folder: Path
    authority: Authority
    port: int = 0
    variables: dict[str, Any] = field(default_factory=dict)

    def state(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.folder / "state" / "state.json").read_text())
        return loaded

    def drive(self, *parts: str) -> Path:
        return self.folder.joinpath("state", "drives", *parts)

    @contextmanager
    def running(self) -> Iterator[Windows]:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.lab.windows_host.winsim", "--control-plane-only"),
                *("--state", str(self.folder / "state"), "--config", str(self.folder / "config")),
                *("--address", "127.0.0.1", "--winrm-port", "0"),
            ],
            cwd=REPOSITORY,
            env={**os.environ, "WINSIM_GUEST": "localhost"},
            stdout=subprocess.PIPE,
            stderr=(self.folder / "winsim.log").open("a"),
            text=True,
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("WinRM listens on port "), (self.folder / "winsim.log").read_text()
            self.port = int(line.split()[-1])
            yield self
        finally:
            process.terminate()
            process.wait(timeout=10)

    def issue_site_certificate(self, *names: str, days: int = 30) -> str:
        """Put site.pfx and site.pem where the role finds them; the thumbprint."""
        certificate, key = self.authority.issue(*(x509.DNSName(name) for name in names), days=days)
        encryption = serialization.BestAvailableEncryption(PFX_PASSWORD.encode())
        pfx = pkcs12.serialize_key_and_certificates(
            b"site", key, certificate, [self.authority.certificate], encryption
        )
        (self.folder / "site.pfx").write_bytes(pfx)
        (self.folder / "site.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return certificate.fingerprint(hashes.SHA1()).hex().upper()  # noqa: S303

    def play(
        self,
        tasks: list[dict[str, Any]],
        *arguments: str,
        gather_facts: bool = True,
        **variables: Any,
    ) -> Played:
        """Run tasks on the machine with ansible-playbook; `variables` are host variables."""
        connection = {
            "ansible_connection": "winrm",
            "ansible_host": "127.0.0.1",
            "ansible_port": self.port,
            "ansible_user": USER,
            "ansible_password": PASSWORD,
            "ansible_winrm_transport": "ntlm",
            "ansible_winrm_ca_trust_path": str(self.folder / "ca.pem"),
        }
        site = {
            "iis_gateway_sites": [{"name": SITE, "backend_port": 8188}],
            "iis_gateway_certificate_pfx": str(self.folder / "site.pfx"),
            "iis_gateway_certificate_password": PFX_PASSWORD,
            "iis_gateway_certificate_pem": str(self.folder / "site.pem"),
        }
        inventory = {"all": {"hosts": {"win": {**connection, **site, **self.variables, **variables}}}}
        (self.folder / "inventory.yml").write_text(yaml.safe_dump(inventory))
        play = {"name": "Test", "hosts": "win", "gather_facts": gather_facts, "tasks": tasks}
        (self.folder / "ansible.cfg").write_text("[defaults]\n")
        (self.folder / "play.yml").write_text(yaml.safe_dump([play]))
        done = subprocess.run(
            [
                str(Path(sys.executable).with_name("ansible-playbook")),
                *("-i", str(self.folder / "inventory.yml"), str(self.folder / "play.yml"), *arguments),
            ],
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
                "ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"),
                "ANSIBLE_ROLES_PATH": str(REPOSITORY / "roles"),
                "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_HOME": str(self.folder / "ansible"),
                "ANSIBLE_LOCALHOST_WARNING": "false",
            },
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        return Played(done.returncode, done.stdout + done.stderr)


@dataclass(frozen=True)
class Played:
    exit_code: int
    output: str

    def count(self, what: str) -> int:
        """A number of the recap, such as "changed"."""
        recap = next(line for line in self.output.splitlines() if line.startswith("win ") and "ok=" in line)
        return int(dict(pair.split("=") for pair in recap.split(":", 1)[1].split())[what])


def new_windows(folder: Path) -> Windows:
    """A machine without a past; start it with `running()`."""
    authority = new_authority()
    config = folder / "config"
    config.mkdir(parents=True)
    certificate, key = authority.issue(x509.IPAddress(ip_address("127.0.0.1")))
    (config / "winrm.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    _write_key(config / "winrm.key", key)
    (config / "users").write_text(f"{USER}:{PASSWORD}\n")
    (folder / "ca.pem").write_bytes(authority.pem())
    windows = Windows(folder, authority)
    windows.issue_site_certificate(SITE)
    return windows
