"""What every scenario's tests look through: the guest as root, its cards seen from containers, and its journal."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import testinfra
from testinfra.host import Host

from tests.molecule.names import ROOT, lab_name

_GUEST = pytest.StashKey[Host]()
PROBE = "probe:latest"
# The guest's own Python and C library: enough for nvidia-smi of the lab, which is a script. Nothing of a driver.
_PROBE_FILES = (
    "cd / && tar -c --exclude='libcuda*' --exclude='libnvidia*'"
    " bin lib lib64 usr/lib64 usr/lib/x86_64-linux-gnu usr/lib/python3.* usr/bin/env usr/bin/python3* usr/bin/true"
)


@pytest.fixture(scope="session")
def lab() -> Path:
    """Folder of what was generated for this scenario's lab."""
    return ROOT / "build" / lab_name(os.environ["MOLECULE_SCENARIO_NAME"])


@pytest.fixture(scope="session")
def guest(pytestconfig: pytest.Config) -> Host:
    """The lab's Docker host, as root."""
    inventory = os.environ["MOLECULE_INVENTORY_FILE"].rpartition("/")[0]
    host = testinfra.get_host(f"ansible://gpu-host?ansible_inventory={inventory}&sudo=true")
    pytestconfig.stash[_GUEST] = host
    return host


@pytest.fixture(scope="session")
def pins(lab: Path) -> dict[str, Any]:
    """Service to pin, as role gpu_pin resolved them in converge."""
    found: dict[str, Any] = json.loads((lab / "pins.json").read_text())
    return found


class Probe:
    """A container that can run nvidia-smi, if one is handed in."""

    def __init__(self, guest: Host) -> None:
        self.guest = guest

    def run(self, *options: str, command: str = "true") -> Any:
        """testinfra's result (rc, stdout, stderr) of `command` in a new container started with `options`."""
        words = ["docker", "run", "--rm", "--network", "none", *options, PROBE, *shlex.split(command)]
        return self.guest.run(shlex.join(words))

    def devices(self, *options: str) -> set[str]:
        """Names in /dev of a new container that belong to a card."""
        done = self.run(*options, command="""python3 -c 'import os; print(*os.listdir("/dev"))'""")
        assert done.rc == 0, done.stderr
        return {name for name in done.stdout.split() if name.startswith(("dxg", "nvidia"))}

    def cards(self, *options: str) -> list[str]:
        """UUIDs that nvidia-smi lists in a new container."""
        done = self.run(*options, command="nvidia-smi --query-gpu=uuid --format=csv,noheader")
        assert done.rc == 0, done.stdout + done.stderr
        return [str(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="session")
def probe(guest: Host) -> Probe:
    """Containers of an image that carries no driver of its own."""
    guest.check_output(f"sh -c {shlex.quote(f'{_PROBE_FILES} | docker import - {PROBE}')}")
    return Probe(guest)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows what the guest's Docker said last."""
    report = yield
    guest = item.config.stash.get(_GUEST, None)
    if report.failed and guest is not None:
        journal = guest.run("journalctl --no-pager --lines 15 --output cat --unit docker")
        report.sections.append(("journal of docker on gpu-host", journal.stdout))
    return report
