"""What the container runtime injected: the simulated NVIDIA driver and the cards it may show this process."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

WSL_DRIVERS = "usr/lib/wsl/drivers"
NATIVE_DRIVER = "usr/share/simulated-nvidia/simulated-driver.json"
DRIVER_FILE = "simulated-driver.json"


class DriverFileError(RuntimeError):
    """The injected driver description cannot be used; the message says which file and why."""


@dataclass(frozen=True)
class Card:
    """One physical card. `cuda_rank` is its place in CUDA's FASTEST_FIRST order, 0 = fastest."""

    index: int
    name: str
    uuid: str
    pci_bus_id: str
    minor: int
    memory_mib: int
    compute_capability: tuple[int, int]
    cuda_rank: int

    @property
    def memory_bytes(self) -> int:
        return self.memory_mib * 1024 * 1024

    @property
    def pci_address(self) -> tuple[int, int, int]:
        """(domain, bus, device), the key of CUDA's PCI_BUS_ID order."""
        domain, bus, rest = self.pci_bus_id.split(":")
        return int(domain, 16), int(bus, 16), int(rest.split(".")[0], 16)


@dataclass(frozen=True)
class Fault:
    """Something that is wrong with the driver or, where `uuid` names one, with a card."""

    kind: str
    uuid: str | None


@dataclass(frozen=True)
class Driver:
    """A driver as the process sees it: its versions, and the cards whose device nodes are present."""

    version: str
    cuda_version: str
    cards: tuple[Card, ...]
    fault: Fault | None = None


def file_system_root() -> Path:
    """`/`, or another root for tests (environment variable COMFYSIM_ROOT)."""
    return Path(os.environ.get("COMFYSIM_ROOT") or "/")


def find_driver(root: Path) -> Driver | None:
    """The driver under `root`, or None where no driver was injected.

    With /dev/dxg (WSL2) every card is visible, because Windows' driver filters nothing there.
    Without it a card is visible when its own /dev/nvidia<minor> is.
    """
    on_wsl = (root / "dev/dxg").exists()
    file = _wsl_driver_file(root) if on_wsl else _native_driver_file(root)
    if file is None:
        return None
    driver = _read(file)
    if on_wsl:
        return driver
    visible = tuple(card for card in driver.cards if (root / f"dev/nvidia{card.minor}").exists())
    return replace(driver, cards=visible)


def _wsl_driver_file(root: Path) -> Path | None:
    found = sorted((root / WSL_DRIVERS).glob(f"nv*_amd64_*/{DRIVER_FILE}"))
    if len(found) > 1:
        names = ", ".join(str(path) for path in found)
        raise DriverFileError(
            f"simulator: found {len(found)} injected drivers ({names}), expected one; "
            "inject only the folder of the driver that Windows runs"
        )
    return found[0] if found else None


def _native_driver_file(root: Path) -> Path | None:
    native = root / NATIVE_DRIVER
    if native.is_file():
        return native
    # The driver store without /dev/dxg: libcuda loads, and finds no device.
    return _wsl_driver_file(root)


def _read(file: Path) -> Driver:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        cards = tuple(_card(entry) for entry in data["cards"])
        fault = Fault(str(data["fault"]["kind"]), data["fault"]["uuid"]) if data.get("fault") else None
        driver = Driver(str(data["driver_version"]), str(data["cuda_version"]), cards, fault)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DriverFileError(
            f"simulator: {file} is not a usable driver description: {type(error).__name__}: {error}"
        ) from error
    for what, values in (
        ("cuda_rank", [card.cuda_rank for card in cards]),
        ("uuid", [card.uuid for card in cards]),
        ("pci_bus_id", [card.pci_address for card in cards]),
    ):
        if len(set(values)) != len(values):
            raise DriverFileError(f"simulator: {file}: two cards share one {what}; each card needs its own")
    return driver


def _card(entry: dict[str, Any]) -> Card:
    major, _, minor = str(entry["compute_capability"]).partition(".")
    card = Card(
        index=int(entry["index"]),
        name=str(entry["name"]),
        uuid=str(entry["uuid"]),
        pci_bus_id=str(entry["pci_bus_id"]),
        minor=int(entry["minor"]),
        memory_mib=int(entry["memory_mib"]),
        compute_capability=(int(major), int(minor or 0)),
        cuda_rank=int(entry["cuda_rank"]),
    )
    if not card.uuid.startswith("GPU-"):
        raise ValueError(f"uuid {card.uuid!r} does not begin with GPU-")
    _ = card.pci_address  # a malformed address must be reported here, not when the cards are ordered
    return card
