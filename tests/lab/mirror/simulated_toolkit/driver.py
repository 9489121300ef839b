"""Finds the simulated driver of this host, and says which files and devices a container needs of it."""

from __future__ import annotations

import dataclasses
import json
import stat
from pathlib import Path
from typing import Any

Card = dict[str, Any]

WSL_LIB = "/usr/lib/wsl/lib"
WSL_STORE = "/usr/lib/wsl/drivers"
DXG = "/dev/dxg"
NATIVE_DRIVER = "/usr/share/simulated-nvidia"
NATIVE_CONTROL = "/dev/nvidiactl"
NATIVE_LIBRARIES = (
    "/usr/lib/x86_64-linux-gnu/libcuda.so.1",
    "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1",
)
NVIDIA_SMI = "/usr/bin/nvidia-smi"
# What makes a folder of the driver store NVIDIA's. Its name does not: nv_dispi, nvblig, nvfrwi were all seen.
STORE_MARK = "libcuda.so.1.1"


class ToolkitError(Exception):
    """What keeps the toolkit from injecting cards, in the words of the real one where they are known."""


@dataclasses.dataclass(frozen=True)
class Driver:
    """mode "wsl" or "native"; `folder` holds simulated-driver.json; `cards` are all cards of the host."""

    mode: str
    folder: str
    cards: tuple[Card, ...]


@dataclasses.dataclass(frozen=True)
class Injection:
    """Device nodes and read-only (host path, container path) mounts, all absolute."""

    devices: tuple[str, ...]
    mounts: tuple[tuple[str, str], ...]


def find_driver(root: Path = Path("/")) -> Driver:
    """The driver under `root`; ToolkitError where the host has none that works."""
    if (root / WSL_LIB[1:] / "libdxcore.so").exists():
        if not is_device(root / DXG[1:]):
            raise ToolkitError(f"failed to create discoverer for WSL driver: {DXG} not found")
        return _read("wsl", root, _store(root))
    if is_device(root / NATIVE_CONTROL[1:]):
        return _read("native", root, NATIVE_DRIVER)
    raise ToolkitError(
        "failed to initialize NVML: ERROR_LIBRARY_NOT_FOUND "
        f"(neither {WSL_LIB}/libdxcore.so nor {NATIVE_CONTROL} is there)"
    )


def injection(driver: Driver, cards: tuple[Card, ...]) -> Injection:
    """What makes `cards` appear in a container. WSL has one device for all cards."""
    if driver.mode == "wsl":
        smi = f"{driver.folder}/nvidia-smi"
        return Injection((DXG,), ((WSL_LIB, WSL_LIB), (driver.folder, driver.folder), (smi, NVIDIA_SMI)))
    nodes = tuple(f"/dev/nvidia{card['minor']}" for card in cards)
    same = (NATIVE_DRIVER, NVIDIA_SMI, *NATIVE_LIBRARIES)
    return Injection((NATIVE_CONTROL, *nodes), tuple((path, path) for path in same))


def is_device(path: Path) -> bool:
    try:
        return stat.S_ISCHR(path.stat().st_mode)
    except OSError:
        return False


def _store(root: Path) -> str:
    """The store folder of the driver that runs; the simulated driver file plays dxcore, which knows."""
    marked = sorted(path.parent for path in (root / WSL_STORE[1:]).glob(f"*/{STORE_MARK}"))
    running = [folder for folder in marked if (folder / "simulated-driver.json").exists()]
    if len(running) != 1:
        raise ToolkitError(
            "failed to create discoverer for WSL driver: "
            f"found {len(running)} driver store paths, expected one"
        )
    return f"{WSL_STORE}/{running[0].name}"


def _read(mode: str, root: Path, folder: str) -> Driver:
    file = root / folder[1:] / "simulated-driver.json"
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        return Driver(mode, folder, tuple(document["cards"]))
    except (OSError, ValueError, KeyError) as error:
        raise ToolkitError(f"failed to initialize NVML: {file}: {error}") from error
