"""`python -m tests.molecule.services.lab.closed_index.pack ROOM ADDRESS`: what the index at ADDRESS hands out.

Makes in the folder ROOM: guest.tar with the index and a source tree that needs its one package; authority.crt, who has
signed it; sources.lock.yml and packages.lock, which name both; password (user:password, new each time); looking, what
`look.py` is to look for; and a file of variables for each way of asking, see `ways`.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import json
import secrets
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import yaml
from cryptography.hazmat.primitives import serialization

from tests.e2e.needles import Wanted, as_line, forms
from tests.lab.credentials import Authority

PACKAGE = "closed_package"
WHEEL = f"{PACKAGE}-1.0-py3-none-any.whl"
# By this sentence the package is recognised in a layer.
WORDS = "handed out behind a password"
PORT = 3141
_WHO = ("-c", "user.name=lab", "-c", "user.email=lab@comfystack.test")


def wheel(target: Path) -> str:
    """Writes a wheel of one module; returns its SHA-256."""
    about = f"{PACKAGE}-1.0.dist-info"
    files = {
        f"{PACKAGE}.py": f'WORDS = "{WORDS}"\n',
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1.0\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: lab\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    digests = {
        name: base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
        for name, text in files.items()
    }
    record = "".join(f"{name},sha256={digests[name]},{len(text)}\n" for name, text in files.items())
    files[f"{about}/RECORD"] = f"{record}{about}/RECORD,,\n"
    with zipfile.ZipFile(target, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return hashlib.sha256(target.read_bytes()).hexdigest()


def repository(target: Path) -> str:
    """Makes a source tree that asks for the package, as a repository; returns its one commit."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(target), *_WHO, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    target.mkdir()
    (target / "requirements.txt").write_text(f"{PACKAGE}==1.0\n")
    git("init", "--quiet", "--template=", "--initial-branch", "master")
    git("add", "--all")
    git("commit", "--quiet", "--message", "A tree that needs a package of the closed index")
    return git("rev-parse", "HEAD")


def name_of(address: str) -> str:
    """The address as one number, which every resolver knows as a name.

    A build in the lab knows public names alone, and pip has no TLS with what it sees as an address.
    """
    return str(int(ipaddress.ip_address(address)))


def certificate(room: Path, name: str) -> bytes:
    """Certificate and key for `name`; who has signed it goes into the room."""
    authority = Authority("closed index")
    key, signed = authority.issue([name])
    pem = serialization.Encoding.PEM
    (room / "authority.crt").write_bytes(authority.certificate.public_bytes(pem))
    return signed.public_bytes(pem) + key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def ways(room: Path, name: str, password: str) -> dict[str, dict[str, object]]:
    """Variables of an image of that tree alone, for who may ask the index `name` and for three who may not.

    `stage`: the tasks of the role that have something to do after the way before.
    """
    own = "/usr/local/share/ca-certificates/*.crt"
    signed = f"{{{{ query('ansible.builtin.fileglob', '{own}', '{room}/authority.crt') }}}}"
    common: dict[str, object] = {
        "comfyui_image_name": "closed-index",
        "comfyui_image_sources_lock": str(room / "sources.lock.yml"),
        "comfyui_image_custom_nodes": [],
        "comfyui_image_repositories": {"ComfyUI": "/srv/closed-index/ComfyUI"},
    }

    def asking(sign_in: str, **more: object) -> dict[str, object]:
        return {**common, "comfyui_image_package_index": f"https://{sign_in}{name}:{PORT}/simple", **more}

    return {
        "unsigned": asking(f"lab:{password}@"),
        "nobody": asking("", site_extra_ca_certificates=signed),
        # It has the right one in it, so that one search finds either.
        "wrong": asking(f"lab:{password}-wrong@", stage="build", site_extra_ca_certificates=signed),
        "right": asking(f"lab:{password}@", stage="build", site_extra_ca_certificates=signed),
    }


def main(room: Path, address: str) -> None:
    room.mkdir(exist_ok=True)
    password = secrets.token_urlsafe(24)
    with tempfile.TemporaryDirectory(prefix="comfystack-index-") as folder:
        guest = Path(folder)
        page = guest / "www" / "simple" / PACKAGE.replace("_", "-")
        page.mkdir(parents=True)
        digest = wheel(page / WHEEL)
        commit = repository(guest / "ComfyUI")
        (guest / "serve.py").write_text((Path(__file__).parent / "serve.py").read_text())
        (guest / "server.pem").write_bytes(certificate(room, name_of(address)))
        (guest / "password").write_text(f"lab:{password}\n")
        with tarfile.open(room / "guest.tar", "w") as tar:
            tar.add(guest, "closed-index")
    (room / "packages.lock").write_text(f"{PACKAGE}==1.0 \\\n    --hash=sha256:{digest}\n")
    lock = yaml.safe_load((room.parent / "sources.lock.yml").read_text())
    lock |= {"custom_nodes": [], "dependencies": dict.fromkeys(lock["dependencies"], "packages.lock")}
    lock["comfyui"] |= {"repository": "https://sources.invalid/ComfyUI.git", "commit": commit}
    (room / "sources.lock.yml").write_text(yaml.safe_dump(lock, sort_keys=False))
    (room / "password").write_text(f"lab:{password}\n")
    for name, variables in ways(room, name_of(address), password).items():
        (room / f"{name}.json").write_text(json.dumps(variables))
    wanted = Wanted({"password": forms(password), "package": [WORDS.encode()]})
    (room / "looking").write_text(as_line(wanted))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
