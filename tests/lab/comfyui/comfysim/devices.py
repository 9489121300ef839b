"""The devices as ComfyUI reports them in its log and in /system_stats."""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path
from typing import Any

from . import cuda

_log = logging.getLogger(__name__)


def apply_device_options(options: argparse.Namespace) -> None:
    """Sets the environment that CUDA reads; must happen before the devices are looked at.

    --cuda-device overwrites CUDA_VISIBLE_DEVICES, whatever pin stood there: the trap is part of the contract.
    """
    if options.default_device is not None and options.cuda_device != "all":
        others = [str(number) for number in range(32) if number != options.default_device]
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join([str(options.default_device), *others])
    if options.cuda_device == "all":
        _log.info("Set cuda devices to all")
    elif options.cuda_device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = options.cuda_device
        _log.info("Set cuda device to: %s", options.cuda_device)
    if not options.disable_cuda_malloc:
        earlier = os.environ.get("PYTORCH_CUDA_ALLOC_CONF")
        wanted = "backend:cudaMallocAsync"
        os.environ["PYTORCH_CUDA_ALLOC_CONF"] = f"{earlier},{wanted}" if earlier else wanted


def system_memory() -> tuple[int, int]:
    """(total, available) bytes of this machine."""
    found = {}
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        name, _, rest = line.partition(":")
        found[name] = int(rest.split()[0]) * 1024
    return found["MemTotal"], found["MemAvailable"]


def describe_devices(options: argparse.Namespace) -> list[dict[str, Any]]:
    """/system_stats' `devices`: every visible CUDA device, the one that is used first; or the CPU."""
    if options.cpu:
        total, free = system_memory()
        return [_entry("cpu", "cpu", None, total, free, total, free)]
    allocator = "native" if options.disable_cuda_malloc else "cudaMallocAsync"
    return [
        _entry(
            f"cuda:{number} {card.name} : {allocator}",
            "cuda",
            number,
            card.memory_bytes,
            card.memory_bytes - cuda.CONTEXT_BYTES,
            0,
            0,
        )
        for number, card in enumerate(cuda.require_devices())
    ]


def announce_devices(options: argparse.Namespace, torch_version: str) -> None:
    """The device part of the start-up log. Without --cpu and without a GPU it raises torch's RuntimeError."""
    devices = describe_devices(options)
    megabytes = devices[0]["vram_total"] / (1024 * 1024)
    _log.info("Total VRAM %.0f MB, total RAM %.0f MB", megabytes, system_memory()[0] / (1024 * 1024))
    _log.info("pytorch version: %s", torch_version)
    _log.info("Set vram state to: %s", _vram_state(options))
    for device in devices:
        _log.info("Device: %s", device["name"])


def _vram_state(options: argparse.Namespace) -> str:
    if options.cpu:
        return "DISABLED"
    if options.novram:
        return "NO_VRAM"
    if options.lowvram:
        return "LOW_VRAM"
    return "HIGH_VRAM" if options.highvram or options.gpu_only else "NORMAL_VRAM"


def _entry(
    name: str, kind: str, index: int | None, total: int, free: int, torch_total: int, torch_free: int
) -> dict[str, Any]:
    return {
        "name": name,
        "type": kind,
        "index": index,
        "vram_total": total,
        "vram_free": free,
        "torch_vram_total": torch_total,
        "torch_vram_free": torch_free,
    }
