"""Lays into a root directory what an NVIDIA driver puts on a machine before anything of ours is installed.

In a WSL2 guest that is /usr/lib/wsl (handed in by Windows) and /dev/dxg; on native Linux nvidia-smi,
libraries and /dev/nvidia*. The lab copies the tree into the GPU host's image, or over a running host
to play a driver update: laying again removes what the previous driver had put there.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

from .cards import DEFAULT_CARDS, Inventory, InventoryError, load, simulated_driver

NVIDIA_SMI = Path(__file__).with_name("nvidia_smi.py")

# The lab's device nodes are the null device: it opens anywhere without a device-cgroup rule,
# and nothing in the lab does more than open them.
NULL_DEVICE = "1:3"

WSL_LIB = Path("usr/lib/wsl/lib")
WSL_STORE = Path("usr/lib/wsl/drivers")
NATIVE_DRIVER = Path("usr/share/simulated-nvidia")
NATIVE_LIB = Path("usr/lib/x86_64-linux-gnu")
TMPFILES = Path("etc/tmpfiles.d/simulated-gpu.conf")

LIB_FILES = (
    "libcuda.so",
    "libcuda.so.1",
    "libcuda.so.1.1",
    "libd3d12.so",
    "libdxcore.so",
    "libnvidia-ml.so.1",
)
# What the container toolkit looks for when it decides which folder of the store is NVIDIA's.
STORE_FILES = (
    "libcuda.so.1.1",
    "libcuda_loader.so",
    "libnvidia-ml.so.1",
    "libnvidia-ml_loader.so",
    "libnvidia-ptxjitcompiler.so.1",
    "nvcubins.bin",
)
NATIVE_LIB_FILES = ("libcuda.so.1", "libnvidia-ml.so.1")
OTHER_STORE_FILES = ("igd12umd64.so", "libigc.so")


def lay_guest(inventory: Inventory, root: Path) -> None:
    """Makes the driver part of the tree under `root` say exactly what `inventory` says."""
    clear_guest(root)
    if inventory.mode == "wsl":
        _lay_wsl(inventory, root)
        devices = ["/dev/dxg"]
    else:
        _lay_native(inventory, root)
        devices = ["/dev/nvidiactl", *(f"/dev/nvidia{card.minor}" for card in inventory.cards)]
    # /dev is a fresh tmpfs in every container: systemd makes the nodes at boot.
    lines = [f"c {device} 0666 root root - {NULL_DEVICE}" for device in devices]
    _write(root / TMPFILES, "\n".join(lines) + "\n")


def clear_guest(root: Path) -> None:
    """Removes every file that an earlier lay_guest put under `root`, of whichever mode."""
    for folder in (WSL_LIB.parent, NATIVE_DRIVER):
        shutil.rmtree(root / folder, ignore_errors=True)
    files = [TMPFILES, Path("usr/bin/nvidia-smi"), *(NATIVE_LIB / name for name in NATIVE_LIB_FILES)]
    for file in files:
        (root / file).unlink(missing_ok=True)


def _lay_wsl(inventory: Inventory, root: Path) -> None:
    for name in LIB_FILES:
        _placeholder(root / WSL_LIB / name)
    _nvidia_smi(root / WSL_LIB / "nvidia-smi")
    store = root / WSL_STORE / inventory.driver.store.folder
    for name in STORE_FILES:
        _placeholder(store / name)
    _nvidia_smi(store / "nvidia-smi")
    _driver_file(inventory, store)
    for other in inventory.other_stores:
        for name in OTHER_STORE_FILES:
            _placeholder(root / WSL_STORE / other.folder / name)


def _lay_native(inventory: Inventory, root: Path) -> None:
    for name in NATIVE_LIB_FILES:
        _placeholder(root / NATIVE_LIB / name)
    _nvidia_smi(root / "usr/bin/nvidia-smi")
    _driver_file(inventory, root / NATIVE_DRIVER)


def _driver_file(inventory: Inventory, folder: Path) -> None:
    text = json.dumps(simulated_driver(inventory), indent=2) + "\n"
    _write(folder / "simulated-driver.json", text)


def _nvidia_smi(path: Path) -> None:
    _write(path, NVIDIA_SMI.read_text(encoding="utf-8"))
    path.chmod(0o755)


def _placeholder(path: Path) -> None:
    _write(path, "Placeholder of the lab's simulated NVIDIA driver: present, but no library.\n")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o644)


def main() -> int:
    parser = argparse.ArgumentParser(description="Lay the simulated NVIDIA driver into a root directory.")
    parser.add_argument("--cards", type=Path, default=DEFAULT_CARDS, help="card inventory (YAML)")
    parser.add_argument("--root", type=Path, required=True, help="directory that stands for /")
    options = parser.parse_args()
    try:
        lay_guest(load(options.cards), options.root)
    except InventoryError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
