"""CUDA as this process finds it: the injected driver, the visible devices, torch's words when none."""

from __future__ import annotations

import os
import threading

from .cuda_rules import selects_twice, visible_cards
from .driver import Card, Driver, file_system_root, find_driver

NO_DRIVER = (
    "Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU and installed a driver "
    "from http://www.nvidia.com/Download/index.aspx"
)
NO_DEVICE = "No CUDA GPUs are available"
_COUNT_FAILED = (
    "Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before calling "
    "NumCudaDevices() that might have already set an error? Error "
)
_SELECTED_TWICE = _COUNT_FAILED + "101: invalid device ordinal"
# What CUDA's start ends with when the driver has one of these faults.
_FAULTS = {
    "no_devices": NO_DEVICE,
    "access_blocked": NO_DEVICE,
    "driver_unreachable": _COUNT_FAILED + "304: OS call failed or operation not supported on this OS",
    "version_mismatch": _COUNT_FAILED
    + "803: system has unsupported display driver / cuda driver combination",
}

# What one CUDA context and its libraries keep for themselves on an otherwise idle card.
CONTEXT_BYTES = 420 * 1024 * 1024


def devices() -> list[Card]:
    """CUDA devices 0, 1, ... ; empty where torch.cuda.is_available() is False."""
    found = find_driver(file_system_root())
    return _enumerate(found)[0] if found else []


def require_devices() -> list[Card]:
    """The devices, or the RuntimeError that torch raises when CUDA cannot be initialised."""
    found = find_driver(file_system_root())
    if found is None:
        raise RuntimeError(NO_DRIVER)
    cards, problem = _enumerate(found)
    if not cards:
        raise RuntimeError(problem)
    return cards


def _enumerate(driver: Driver) -> tuple[list[Card], str]:
    """(visible devices, why there are none)"""
    fault = driver.fault
    if fault is None:
        problem = _SELECTED_TWICE if selects_twice(driver.cards, os.environ) else NO_DEVICE
        return visible_cards(driver.cards, os.environ), problem
    if fault.kind in _FAULTS:
        return [], _FAULTS[fault.kind]
    if fault.kind == "hang":
        threading.Event().wait()  # a driver that hangs never answers
    if fault.kind == "gpu_lost":
        present = [card for card in driver.cards if card.uuid != fault.uuid]
        return visible_cards(present, os.environ), NO_DEVICE
    raise RuntimeError(f"simulator: driver fault {fault.kind!r} is not modelled")
