"""A Windows from the shelf, and where a new guest of it comes from."""

from __future__ import annotations

import hashlib
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.lab.windows_host.winsim import installers
from tests.lab.windows_host.winsim.machine import ROOT_FS, WSL_EXE

from .machine import Played, Windows, play

PREFLIGHT = {
    "name": "Preflight",
    "ansible.builtin.include_role": {"name": "wsl_host", "tasks_from": "preflight"},
}
PROVISION = {
    "name": "Provision",
    "ansible.builtin.include_role": {"name": "wsl_host", "tasks_from": "provision"},
    "when": "wsl_host_awaited | default('') != ''",
}


@dataclass(frozen=True)
class Stores:
    """Where the stand-ins are: the package behind an address, the root file system in a file."""

    url: str
    folder: Path
    package: bytes
    rootfs: bytes = ROOT_FS

    def as_variables(self, **more: Any) -> dict[str, Any]:
        return {
            "wsl_host_mode": "provision",
            "wsl_host_guest": "guest",
            "wsl_host_package": {"source": f"{self.url}/wsl.msi", "sha256": sha(self.package)},
            "wsl_host_rootfs": {"source": str(self.folder / "rootfs.tar"), "sha256": sha(self.rootfs)},
            "wsl_host_guest_key": str(self.folder / "key.pub"),
            "wsl_host_known_hosts": str(self.folder / "known_hosts"),
            **more,
        }


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@contextmanager
def served(folder: Path) -> Iterator[Stores]:
    """The stand-ins, in this folder."""
    package = installers.package("WSL", {WSL_EXE: "2.6.1.0"})
    (folder / "wsl.msi").write_bytes(package)
    (folder / "rootfs.tar").write_bytes(ROOT_FS)
    ssh = folder / "ssh"
    ssh.write_text('#!/bin/sh\nfor last; do :; done\nexec sh -c "$last"\n')
    ssh.chmod(0o700)
    (folder / "key.pub").write_text("ssh-ed25519 AAAA somebody\n")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Stores(f"http://127.0.0.1:{server.server_port}", folder, package)
        server.shutdown()


def hosts(machine: Windows, stores: Stores, **more: Any) -> dict[str, dict[str, Any]]:
    """The machine, and the guest that there may be one day: an `ssh` that goes nowhere speaks for it."""
    guest = {
        "ansible_ssh_executable": str(stores.folder / "ssh"),
        "ansible_pipelining": True,
        # What is found by itself depends on the machine that tests.
        "ansible_python_interpreter": sys.executable,
        "ansible_host": "192.0.2.7",
        "ansible_port": 2222,
        "ansible_user": "siteadmin",
    }
    return {"win": machine.as_host(**stores.as_variables(**more)), "guest": guest}


def provision(folder: Path, machine: Windows, stores: Stores, *arguments: str, **more: Any) -> Played:
    plays = [{"hosts": "win", "tasks": [PREFLIGHT, PROVISION]}]
    return play(folder, hosts(machine, stores, **more), plays, *arguments)
