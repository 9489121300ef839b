"""torch.cuda on the simulated driver: the devices this process sees, in CUDA's numbering."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import import_module
from typing import Any

# `comfysim` is a top-level package only where this tree is the working directory, hence no static import.
_cuda: Any = import_module("comfysim.cuda")


@dataclass(frozen=True)
class DeviceUuid:
    """As torch's own: `str()` gives the UUID without nvidia-smi's "GPU-" prefix."""

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class DeviceProperties:
    """The fields of torch's _CudaDeviceProperties that the simulated driver knows; sizes in bytes."""

    name: str
    major: int
    minor: int
    total_memory: int
    uuid: DeviceUuid
    pci_domain_id: int
    pci_bus_id: int
    pci_device_id: int


def is_available() -> bool:
    return device_count() > 0


def device_count() -> int:
    return len(_cuda.devices())


def current_device() -> int:
    _cuda.require_devices()
    return 0


def get_device_name(device: int | None = None) -> str:
    return get_device_properties(device).name


def get_device_capability(device: int | None = None) -> tuple[int, int]:
    properties = get_device_properties(device)
    return properties.major, properties.minor


def get_device_properties(device: int | None = None) -> DeviceProperties:
    cards = _cuda.require_devices()
    number = 0 if device is None else device
    if not 0 <= number < len(cards):
        raise AssertionError("Invalid device id")
    card = cards[number]
    domain, bus, slot = card.pci_address
    return DeviceProperties(
        name=card.name,
        major=card.compute_capability[0],
        minor=card.compute_capability[1],
        total_memory=card.memory_bytes,
        uuid=DeviceUuid(card.uuid.removeprefix("GPU-")),
        pci_domain_id=domain,
        pci_bus_id=bus,
        pci_device_id=slot,
    )


def mem_get_info(device: int | None = None) -> tuple[int, int]:
    """(free, total) in bytes; only the CUDA context itself is counted as used."""
    total = get_device_properties(device).total_memory
    return total - _cuda.CONTEXT_BYTES, total


def get_allocator_backend() -> str:
    """ "native" unless PYTORCH_CUDA_ALLOC_CONF asks for the other one, as ComfyUI does at its start."""
    asked = os.environ.get("PYTORCH_CUDA_ALLOC_CONF", "").split(",")
    return "cudaMallocAsync" if "backend:cudaMallocAsync" in asked else "native"


def __getattr__(name: str) -> object:
    if name.startswith("__"):
        raise AttributeError(name)
    raise AttributeError(f"simulator: torch.cuda.{name} is not modelled")
