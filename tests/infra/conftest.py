"""What verify looks through: the deployment's access facts, the guest, Windows, and the public door."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import testinfra
import testinfra.utils.ansible_runner
from comfystack import ComfyClient
from testinfra.host import Host


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("verify", "the deployment to verify")
    group.addoption("--inventory", required=True, help="the Ansible inventory that was deployed")
    group.addoption("--access", required=True, type=Path, help="access.json of that deployment")


def pytest_configure(config: pytest.Config) -> None:
    """Ends the run before it begins, and before it writes a report, where nothing was deployed."""
    # A long traceback shows the arguments of the functions in it: a request's headers, and so the token.
    config.option.tbstyle, config.option.showlocals = "short", False
    path: Path = config.getoption("--access")
    if not path.exists():
        raise pytest.UsageError(f"found: no {path}\nexpected: a finished deployment\nnext step: make deploy")


@dataclass(frozen=True)
class Access:
    """How to get in, as the deployment wrote it. `address` and `port` are where the TCP connection goes.

    `places` has every public name, with address and port of its own.
    """

    url: str
    host: str
    places: dict[str, tuple[str, int]]
    address: str
    port: int
    http_port: int
    ca_file: str | None
    token: str = field(repr=False)
    deployed: dict[str, Any]

    def tls(self) -> ssl.SSLContext:
        """A context that trusts the deployment's authority, or the system's where it has none of its own."""
        return ssl.create_default_context(cafile=self.ca_file)


@pytest.fixture(scope="session")
def access(pytestconfig: pytest.Config) -> Access:
    path: Path = pytestconfig.getoption("--access")
    document = json.loads(path.read_text())
    token = Path(document["token_file"])
    if not token.exists():
        pytest.exit(
            f"found: no token file {token}\nexpected: the file that site_token_file names, with one valid token\n"
            "next step: put the token there (mode 0600) and run `make verify` again",
            returncode=2,
        )
    host = str(urlsplit(document["url"]).hostname)
    places = {}
    for name in document["names"]:
        address, _, port = document["connect_to"].get(name, f"{name}:443").rpartition(":")
        places[name] = (address, int(port))
    address, port = places[host]
    return Access(
        url=document["url"],
        host=host,
        places=places,
        address=address,
        port=port,
        http_port=document["deployed"]["http_port"],
        ca_file=document["ca_file"],
        token=token.read_text().strip(),
        deployed=document["deployed"],
    )


def _hosts(inventory: str, group: str) -> list[str]:
    runner = testinfra.utils.ansible_runner.AnsibleRunner.get_runner(inventory)
    return list(runner.get_hosts(group))


@pytest.fixture(scope="session")
def guest(pytestconfig: pytest.Config) -> Host:
    """The Docker host, as root."""
    inventory = pytestconfig.getoption("--inventory")
    hosts = _hosts(inventory, "gpu_hosts")
    if not hosts:
        pytest.exit(
            f"found: no host in group gpu_hosts of {inventory}\nexpected: the Docker host", returncode=2
        )
    return testinfra.get_host(f"ansible://{hosts[0]}?ansible_inventory={inventory}&sudo=true")


@pytest.fixture(scope="session")
def windows(pytestconfig: pytest.Config) -> Host:
    """The Windows host, spoken to through Ansible's own read-only modules."""
    inventory = pytestconfig.getoption("--inventory")
    hosts = _hosts(inventory, "windows_hosts")
    if not hosts:
        pytest.skip("this inventory has no Windows host: nothing stands in front of the edge")
    return testinfra.get_host(f"ansible://{hosts[0]}?ansible_inventory={inventory}&force_ansible=true")


@pytest.fixture(scope="session")
def client(access: Access) -> Iterator[ComfyClient]:
    """The project's own client, through the public name."""
    connect_to = f"{access.address}:{access.port}"
    with ComfyClient(access.url, token=access.token, ca_file=access.ca_file, connect_to=connect_to) as made:
        yield made
