"""The lab's guest as the controller of its own site: a copy of this checkout in it, and what `make new-site` writes.

What differs from a real site is what the lab's own inventory says of mirrors, stand-ins and authorities.
"""

from __future__ import annotations

import io
import shlex
import subprocess
import tarfile
import time
from pathlib import Path
from typing import Any

import yaml

from tests.lab.credentials import WINDOWS_USER
from tests.lab.names import PUBLIC_NAME, ROOT

from .running import Done, bare_environment, run
from .site import COMMAND_SECONDS, DEPLOY_SECONDS, Lab

NAME = "box"
USER = "siteadmin"
HOME = Path("/home") / USER
CLONE = HOME / "repository"
INVENTORY = CLONE / "inventories" / NAME
# Where docs/your-first-site.md puts them.
FILES = HOME / "comfystack" / NAME
PASSWORD_FILE = FILES / "vault-password"
# What inventories/lab reads from the lab's folder, but for passwords and the token, which come from the Vault here.
SOURCES = "sources.lock.yml"
OF_THE_LAB = (
    *("ca.pem", "tls/authority.pem", "tls/site.pfx", "site-pfx-password"),
    *("models.lock.yml", "installers.json", "installers/rootfs.tar", "ssh/siteadmin.pub"),
)
LOG = "/var/log/comfystack-resume.log"
AUTHORITIES = Path("/usr/local/share/ca-certificates")
SECRETS: dict[str, dict[str, Any]] = {
    "windows_hosts": {"ansible_password": "{{ vault_windows_password }}"},
    "gpu_hosts": {
        "api_service_tokens": [
            {"name": "lab", "token": "{{ vault_edge_token_operator }}", "scope": "admin"},
        ]
    },
}


def shell(lab: Lab, title: str, script: str, seconds: float = COMMAND_SECONDS) -> Done:
    """What somebody types in the guest, in the clone."""
    words = f"cd {CLONE} && export ANSIBLE_VAULT_PASSWORD_FILE={PASSWORD_FILE} && {script}"
    command = [*lab.ssh("-H", "-u", USER, "bash", "-euc", words)]
    return run(title, command, bare_environment(), seconds)


def make(lab: Lab, title: str, target: str, seconds: float = COMMAND_SECONDS) -> Done:
    """`make TARGET` for the site, typed in the guest."""
    return shell(lab, title, f"make {target} INVENTORY=inventories/{NAME}", seconds)


def play(lab: Lab, title: str) -> Done:
    """The deployment alone, typed in the guest."""
    command = f"build/venv/bin/ansible-playbook -i inventories/{NAME} ansible/site.yml"
    return shell(lab, title, f"ANSIBLE_CONFIG=ansible/ansible.cfg {command}")


def born(lab: Lab) -> str:
    """When the guest has started: another moment after each start. The log of a run before is forgotten."""
    return lab.guest("inside-born", f"rm -f {LOG}; systemctl show --value --property UserspaceTimestamp")


def resumed(lab: Lab, title: str, before: str, seconds: float = DEPLOY_SECONDS) -> Done:
    """What the run has said that goes on by itself in a guest that was not born `before`; returns when it has ended."""
    over = (
        f'[ "$(systemctl show --value --property UserspaceTimestamp)" != {shlex.quote(before.strip())} ]'
        f" && [ -e {LOG} ]"
        " && systemctl show --value --property ActiveState comfystack-resume.service | grep -qx 'inactive\\|failed'"
    )
    deadline = time.monotonic() + seconds
    while subprocess.run(lab.ssh("bash", "-c", over), stderr=subprocess.DEVNULL, check=False).returncode:
        assert time.monotonic() < deadline, f"nothing has gone on after {seconds:.0f} s"
        time.sleep(1)
    return run(title, lab.ssh("cat", LOG), bare_environment(), COMMAND_SECONDS).ended_well()


def prepare(lab: Lab) -> None:
    """The guest has the checkout, its tools, and the inventory of its own site."""
    lab.guest(
        "inside-make", "apt-get update -q && apt-get install -qy --no-install-recommends make ca-certificates"
    )
    _unpack(lab, {AUTHORITIES / path.name: path.read_bytes() for path in AUTHORITIES.glob("*.crt")})
    lab.guest("inside-authorities", "update-ca-certificates")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    _unpack(lab, {CLONE / name: ROOT / name for name in listed.stdout.split("\0") if (ROOT / name).is_file()})
    login = f"{WINDOWS_USER}@windows-host"
    card = "NVIDIA GeForce RTX 3090"
    answers = f"NAME={NAME} PUBLIC_NAME={PUBLIC_NAME} GUEST=local WINDOWS={login} CARD={shlex.quote(card)}"
    shell(lab, "inside-new-site", f"make new-site {answers} MODELS=/srv/models").ended_well()
    _unpack(lab, _settings(lab))
    shell(lab, "inside-tools", "make tools").ended_well()
    vault = f"inventories/{NAME}/group_vars/all/vault.yml"
    shell(lab, "inside-vault", f"build/venv/bin/ansible-vault encrypt {vault}").ended_well()


def set_windows(lab: Lab, **settings: Any) -> None:
    """Settings of group_vars/windows_hosts.yml, beside those of the lab."""
    _unpack(lab, {INVENTORY / "group_vars" / "windows_hosts.yml": _group("windows_hosts", settings)})


def _settings(lab: Lab) -> dict[Path, bytes | Path]:
    variables = INVENTORY / "group_vars"
    build = CLONE / "build" / NAME
    shared = yaml.safe_load((ROOT / "inventories" / "lab" / "group_vars" / "all.yml").read_text())
    vault = {
        "vault_windows_password": lab.secret("windows-password"),
        "vault_edge_token_operator": lab.secret("token"),
    }
    return {
        # After site.yml, whose settings it replaces.
        variables / "all" / "the-lab.yml": _yaml({**shared, "lab_certificates": "acme"}),
        variables / "all" / "vault.yml": _yaml(vault),
        variables / "gpu_hosts.yml": _group("gpu_hosts", {}),
        variables / "windows_hosts.yml": _group("windows_hosts", {}),
        PASSWORD_FILE: b"of the lab\n",
        FILES / "winrm-ca.pem": lab.build / "tls" / "authority.pem",
        **{build / name: lab.build / name for name in OF_THE_LAB},
        # It names files of the checkout.
        build / SOURCES: (lab.build / SOURCES).read_text().replace(str(ROOT), str(CLONE)).encode(),
    }


def _group(group: str, more: dict[str, Any]) -> bytes:
    settings = yaml.safe_load((ROOT / "inventories" / "lab" / "group_vars" / f"{group}.yml").read_text())
    return _yaml({**settings, **SECRETS[group], **more})


def _yaml(document: Any) -> bytes:
    return yaml.safe_dump(document, sort_keys=False).encode()


def _unpack(lab: Lab, files: dict[Path, bytes | Path]) -> None:
    """Puts files into the guest; those below the user's home are the user's."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for target, source in files.items():
            content = source.read_bytes() if isinstance(source, Path) else source
            info = tarfile.TarInfo(str(target.relative_to("/")))
            # As git would have it; what is made here is a secret, or as good as one.
            mode = source.stat().st_mode & 0o755 if isinstance(source, Path) else 0o600
            info.size, info.mode = len(content), mode
            tar.addfile(info, io.BytesIO(content))
    words = f"tar -x -C / --no-same-owner && chown -R {USER}: {HOME} && chmod -R go+rX {AUTHORITIES}"
    command = lab.ssh("bash", "-euc", words)
    subprocess.run(command, input=buffer.getvalue(), check=True)
