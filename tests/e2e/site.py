"""The lab under test, as its operator handles it: by `make`, by Ansible, and by a shell on its hosts."""

from __future__ import annotations

import hashlib
import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.names import ROOT, Names

from .running import PART, Done, bare_environment, run

# The same for every run of this part in this checkout, so that what a killed run left is found by the next one.
LAB_NAME = f"{PART}-" + hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]
# The updates of the driver happen to a site that one deployment made of a Windows 11 from the shelf and an empty guest;
# all others to one whose Windows has had its guest for long.
WINDOWS = "windows-11" if PART == "driver" else "server-2022"
INVENTORY = "inventories/lab"
BIN = Path(sys.executable).parent
# Several times what they take on two idle cores: they end what hangs, not what is slow.
DEPLOY_SECONDS = 1800
COMMAND_SECONDS = 900


@dataclass(frozen=True)
class Lab:
    """One lab by name."""

    names: Names

    @property
    def build(self) -> Path:
        return self.names.build

    @property
    def access_file(self) -> Path:
        return self.build / "access.json"

    @property
    def access(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.access_file.read_text())
        return document

    def secret(self, name: str) -> str:
        """A secret of the lab: token, windows-password or site-pfx-password."""
        return (self.build / name).read_text().strip()

    def make(self, title: str, target: str, seconds: float = COMMAND_SECONDS, **settings: str) -> Done:
        """`make TARGET` with this lab's name in the environment, and nothing else but `settings`."""
        environment = bare_environment(**{"LAB_NAME": self.names.lab, "LAB_WINDOWS": WINDOWS, **settings})
        return run(title, ["make", target], environment, seconds)

    def _with_tools(self, title: str, *command: str) -> Done:
        environment = bare_environment(
            LAB_NAME=self.names.lab, ANSIBLE_CONFIG=str(ROOT / "ansible" / "ansible.cfg")
        )
        environment["PATH"] = f"{BIN}:{environment['PATH']}"
        return run(title, list(command), environment, COMMAND_SECONDS)

    def play(self, title: str, *more: str, inventory: str = INVENTORY) -> Done:
        """The deployment alone: `ansible-playbook ansible/site.yml`."""
        return self.playbook(title, "ansible/site.yml", *more, inventory=inventory)

    def playbook(self, title: str, playbook: str, *more: str, inventory: str = INVENTORY) -> Done:
        """`ansible-playbook PLAYBOOK`."""
        return self._with_tools(title, "ansible-playbook", "-i", inventory, playbook, *more)

    def verify(self, title: str, which: str) -> Done:
        """Verify's tests that pytest selects with `-k which`."""
        access = str(self.access_file)
        selected = ["--inventory", INVENTORY, "--access", access, "-k", which, "-p", "no:cacheprovider"]
        return self._with_tools(title, "pytest", "tests/infra", "-q", *selected)

    def client(self, title: str, *words: str) -> Done:
        """`comfystack WORDS` with the access file that the deployment left."""
        return self._with_tools(title, "comfystack", *words, "--access", str(self.access_file))

    def windows(self, title: str, module: str, **arguments: Any) -> Done:
        """One Ansible module on the Windows host, as an administrator who changes something there."""
        words = json.dumps(arguments)
        done = self._with_tools(title, "ansible", "windows-host", "-i", INVENTORY, "-m", module, "-a", words)
        return done.ended_well()

    def ssh(self, *command: str) -> list[str]:
        """The command that runs `command` as root on the Docker host over SSH."""
        port = json.loads((self.build / "lab.json").read_text())["ports"]["ssh"]
        keys = self.build / "ssh"
        options = ["-i", str(keys / "siteadmin"), "-p", str(port), "-o", "BatchMode=yes"]
        options += ["-o", f"UserKnownHostsFile={keys / 'known_hosts'}"]
        return ["ssh", *options, "siteadmin@127.0.0.1", "sudo", shlex.join(command)]

    def guest(self, title: str, script: str) -> str:
        """Output of a shell script, run as root on the Docker host; fails the test where it fails."""
        command = self.ssh("bash", "-euc", script)
        return run(title, command, bare_environment(), COMMAND_SECONDS).ended_well().output
