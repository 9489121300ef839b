"""The machine that several tests of this folder look at: deployed once, with a past of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.lab.windows_host.winsim.state import AppPool, Binding, Site, Store

from .machine import FORGE, SITE, USER, Played, Windows, new_windows, play

ROLES = [
    {"name": "WSL", "ansible.builtin.import_role": {"name": "wsl_host"}},
    {"name": "IIS", "ansible.builtin.import_role": {"name": "iis_gateway"}},
    {"name": "TLS", "ansible.builtin.import_role": {"name": "tls_certificate"}},
    {
        "name": "Redirect",
        "ansible.builtin.include_role": {"name": "iis_gateway", "tasks_from": "redirect"},
    },
]
# What the owner of the machine wrote, in his own way of writing.
WSLCONFIG = "# mine\r\n[WSL2]\r\nmemory = 24GB\r\nvmidletimeout=60000\r\n\r\n[experimental]\r\nsparseVhd=true"
SHOP = Site(7, r"C:\shop", "shop", bindings=[Binding("http", 80, "shop.example")])


@dataclass(frozen=True)
class Story:
    """The machine, which stands still, what Ansible said, and the thumbprint of the certificate."""

    machine: Windows
    first: Played
    thumbprint: str

    @property
    def memory(self) -> Store:
        return self.machine.memory()


def tell(folder: Path) -> Story:
    machine = new_windows(folder / "machine")
    _with_a_shop(machine.memory())
    thumbprint = machine.issue_site_certificate(SITE, FORGE)
    with machine.running():
        first = play(folder / "first", {"win": machine.as_host()}, tasks=ROLES)
    assert first.exit_code == 0, first.output
    return Story(machine, first, thumbprint)


def _with_a_shop(memory: Store) -> None:
    """A site of the machine's owner, which is none of our business."""
    with memory.edit() as state:
        state.sites["shop"] = SHOP
        state.app_pools["shop"] = AppPool(attributes={"managedRuntimeVersion": "v4.0"})
        state.allowed_server_variables.append("HTTP_X_SHOP")
        state.firewall_rules["Shop"] = {"LocalPorts": "8443"}
        state.firewall_rules["WinRM for everybody"] = {"LocalPorts": "5986"}
    wslconfig(memory).parent.mkdir(parents=True, exist_ok=True)
    wslconfig(memory).write_bytes(WSLCONFIG.encode())


def wslconfig(memory: Store) -> Path:
    """The account's .wslconfig."""
    return memory.path(rf"C:\Users\{USER}\.wslconfig")
