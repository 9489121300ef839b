"""Directories that stand for a host with the simulated driver."""

from __future__ import annotations

from pathlib import Path

from tests.lab.gpu.cards import Inventory
from tests.lab.gpu.guest import lay_guest


def lay(inventory: Inventory, root: Path) -> Path:
    """`root` as a host with that driver, its device nodes included: links to the one node anybody may open."""
    lay_guest(inventory, root)
    (root / "dev").mkdir(exist_ok=True)
    for line in (root / "etc/tmpfiles.d/simulated-gpu.conf").read_text().splitlines():
        (root / line.split()[1][1:]).symlink_to("/dev/null")
    return root
