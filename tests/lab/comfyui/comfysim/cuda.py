"""CUDA as this process finds it: the injected driver, the visible devices, torch's words when none."""

from __future__ import annotations

import os

from .cuda_rules import visible_cards
from .driver import Card, Driver, file_system_root, find_driver

NO_DRIVER = (
    "Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU and installed a driver "
    "from http://www.nvidia.com/Download/index.aspx"
)
NO_DEVICE = "No CUDA GPUs are available"

# What one CUDA context and its libraries keep for themselves on an otherwise idle card.
CONTEXT_BYTES = 420 * 1024 * 1024


def driver() -> Driver | None:
    return find_driver(file_system_root())


def devices() -> list[Card]:
    """CUDA devices 0, 1, ... ; empty where torch.cuda.is_available() is False."""
    found = driver()
    return visible_cards(found.cards, os.environ) if found else []


def require_devices() -> list[Card]:
    """The devices, or the RuntimeError that torch raises when CUDA cannot be initialised."""
    found = driver()
    if found is None:
        raise RuntimeError(NO_DRIVER)
    cards = visible_cards(found.cards, os.environ)
    if not cards:
        raise RuntimeError(NO_DEVICE)
    return cards
