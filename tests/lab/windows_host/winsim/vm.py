"""The virtual machine of WSL, which here is another container: its power switch is a file that both see.

tests/lab/gpu_host/wsl_vm is the other side. Where the folder is not mounted, nobody listens and nothing is written.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

log = logging.getLogger("winsim.vm")

FOLDER = Path("/run/wsl-vm")
SECONDS = 90.0


def down(folder: Path = FOLDER, seconds: float = SECONDS) -> bool:
    """`wsl --shutdown`: returns when the machine has ended and waits to be started. False where that took too long."""
    if not folder.is_dir():
        return True
    number = _read(folder)[0] + 1
    _write(folder, number, "down")
    deadline = time.monotonic() + seconds
    while _born(folder) != number:
        if time.monotonic() > deadline:
            log.error("the guest did not end within %.0f s", seconds)
            return False
        time.sleep(0.1)
    return True


def up(folder: Path = FOLDER) -> None:
    """The machine may run."""
    if folder.is_dir():
        number, state = _read(folder)
        if state != "up":
            _write(folder, number, "up")


def _read(folder: Path) -> tuple[int, str]:
    try:
        number, state = (folder / "power").read_text(encoding="ascii").split()
    except FileNotFoundError:
        return 0, "up"
    return int(number), state


def _write(folder: Path, number: int, state: str) -> None:
    fresh = folder / ".power"
    fresh.write_text(f"{number} {state}\n", encoding="ascii")
    fresh.replace(folder / "power")


def _born(folder: Path) -> int:
    try:
        return int((folder / "born").read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return -1
