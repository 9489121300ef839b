"""A simulated Windows machine on a loopback port, with its own CA, for the tests of this folder."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12

from tests.lab.windows_host.winsim.machine import INSTALLERS, prepare
from tests.lab.windows_host.winsim.state import Store

REPOSITORY = Path(__file__).parents[3]
SITE = "qwen-image-edit.comfystack.test"
# Its service does not exist yet.
FORGE = "stable-diffusion-webui-forge.comfystack.test"
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
    """A machine, running or not: `state()` is what it remembers."""

    folder: Path
    authority: Authority
    port: int = 0

    def state(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.folder / "state" / "state.json").read_text())
        return loaded

    def memory(self) -> Store:
        return Store(self.folder / "state")

    def drive(self, *parts: str) -> Path:
        return self.folder.joinpath("state", "drives", *parts)

    def everything(self) -> dict[str, Any]:
        """State and files, but for the temporary ones of the connection."""
        files = {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in self.drive().rglob("*")
            if path.is_file() and "ansible-tmp" not in str(path)
        }
        return {"state": self.state(), "files": files}

    def copy(self, folder: Path) -> Windows:
        """Another machine with the same past. Copy a machine that stands still."""
        shutil.copytree(self.folder, folder)
        return Windows(folder, self.authority)

    @contextmanager
    def running(self) -> Iterator[Windows]:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.lab.windows_host.winsim", "--control-plane-only"),
                *("--state", str(self.folder / "state"), "--config", str(self.folder / "config")),
                *("--address", "127.0.0.1", "--winrm-port", "0"),
            ],
            cwd=REPOSITORY,
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

    def issue_site_certificate(self, *names: str, days: int = 30, into: str = "site") -> str:
        """Put a certificate where `certificate_file` says it is; the thumbprint."""
        certificate, key = self.authority.issue(*(x509.DNSName(name) for name in names), days=days)
        encryption = serialization.BestAvailableEncryption(PFX_PASSWORD.encode())
        pfx = pkcs12.serialize_key_and_certificates(
            b"site", key, certificate, [self.authority.certificate], encryption
        )
        (self.folder / f"{into}.pfx").write_bytes(pfx)
        (self.folder / f"{into}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return certificate.fingerprint(hashes.SHA1()).hex().upper()  # noqa: S303

    def certificate_file(self, name: str = "site") -> dict[str, Any]:
        """The role's variable for a certificate that was issued."""
        return {"tls_certificate_pfx": str(self.folder / f"{name}.pfx")}

    def installer(self, name: str, content: bytes | None = None) -> dict[str, str]:
        """The role's variable for an installer on the controller, the usual stand-in or another file."""
        given = INSTALLERS[name] if content is None else content
        (self.folder / name).write_bytes(given)
        return {"source": str(self.folder / name), "sha256": hashlib.sha256(given).hexdigest()}

    def as_host(self, **variables: Any) -> dict[str, Any]:
        """The host variables under which Ansible reaches the machine and the roles know the site."""
        return {
            "ansible_connection": "winrm",
            "ansible_host": "127.0.0.1",
            "ansible_port": self.port,
            "ansible_user": USER,
            "ansible_password": PASSWORD,
            "ansible_winrm_transport": "ntlm",
            "ansible_winrm_ca_trust_path": str(self.folder / "ca.pem"),
            "site_name": "tests",
            "site_build_dir": str(self.folder),
            "site_public_name": SITE,
            "site_public_sites": [{"name": SITE, "backend_port": 8188}, {"name": FORGE}],
            "site_token_file": str(self.folder / "token"),
            "tls_certificate_mode": "pfx",
            "tls_certificate_pfx_password": PFX_PASSWORD,
            "iis_gateway_url_rewrite": self.installer("rewrite_amd64_en-US.msi"),
            "iis_gateway_arr": self.installer("requestRouter_amd64.msi"),
            "wsl_host_management_cidrs": ["192.0.2.0/24", "198.51.100.7"],
            **self.certificate_file(),
            **variables,
        }


@dataclass(frozen=True)
class Played:
    """What ansible-playbook said."""

    exit_code: int
    output: str

    def count(self, what: str, host: str) -> int:
        """A number of the host's recap, such as "changed"."""
        recap = next(
            line
            for line in self.output.splitlines()
            if line.partition(":")[0].strip() == host and "unreachable=" in line
        )
        return int(dict(pair.split("=") for pair in recap.split(":", 1)[1].split())[what])

    def about(self, host: str) -> str:
        """The results of one host's tasks."""
        said, his = [], False
        for line in self.output.splitlines():
            if found := _RESULT.match(line):
                his = found[1] == host
            elif line.startswith(("TASK [", "PLAY ", "[ERROR]", "[WARNING]")):
                his = False
            said += [line] if his else []
        return "\n".join(said)


_RESULT = re.compile(r"(?:\w+): \[([^\]]+)\]")


def play(
    folder: Path,
    hosts: Mapping[str, Mapping[str, Any]],
    plays: Sequence[Mapping[str, Any]] | None = None,
    *arguments: str,
    tasks: Sequence[Mapping[str, Any]] = (),
) -> Played:
    """Run ansible-playbook: `plays`, or else one of `tasks` on all hosts at once."""
    given = [{"hosts": "all", "tasks": list(tasks)}] if plays is None else plays
    named = [{"name": "Test", "gather_facts": False, **one} for one in given]
    folder.mkdir(exist_ok=True)
    (folder / "inventory.yml").write_text(yaml.safe_dump({"all": {"hosts": _plain(hosts)}}))
    (folder / "ansible.cfg").write_text("[defaults]\n")
    (folder / "play.yml").write_text(yaml.safe_dump(_plain(named)))
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("ansible-playbook")),
            *("-i", str(folder / "inventory.yml"), str(folder / "play.yml"), *arguments),
        ],
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
            "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
            "ANSIBLE_ROLES_PATH": str(REPOSITORY / "roles"),
            "ANSIBLE_FILTER_PLUGINS": str(REPOSITORY / "ansible" / "plugins" / "filters"),
            # The filters read the client's package: this one, not the one that was installed last.
            "PYTHONPATH": str(REPOSITORY / "comfyui" / "client"),
            "ANSIBLE_FORKS": "16",
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_HOME": str(folder / "ansible"),
            "ANSIBLE_LOCALHOST_WARNING": "false",
        },
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return Played(done.returncode, done.stdout + done.stderr)


def _plain(value: Any) -> Any:
    """The same without shared parts, which YAML would write as anchors."""
    return json.loads(json.dumps(value))


def new_windows(folder: Path, **past: Any) -> Windows:
    """A machine without a past but the given one; start it with `running()`."""
    authority = new_authority()
    config = folder / "config"
    config.mkdir(parents=True)
    certificate, key = authority.issue(x509.IPAddress(ip_address("127.0.0.1")))
    (config / "winrm.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    _write_key(config / "winrm.key", key)
    (config / "users").write_text(f"{USER}:{PASSWORD}\n")
    (folder / "ca.pem").write_bytes(authority.pem())
    windows = Windows(folder, authority)
    prepare(windows.memory(), guest="localhost", owner=USER, **past)
    windows.issue_site_certificate(SITE, FORGE)
    return windows
