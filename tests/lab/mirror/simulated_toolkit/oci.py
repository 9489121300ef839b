"""The edits that give a container its cards, on an OCI runtime specification (config.json)."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from typing import Any

from .driver import Driver, Injection, injection
from .selection import cdi_cards, requested

Spec = dict[str, Any]
Numbers = Callable[[str], tuple[int, int]]

MOUNT_OPTIONS = ["ro", "nosuid", "nodev", "rbind", "rprivate"]
HOOKS = ("nvidia-container-runtime-hook", "nvidia-container-toolkit")


def device_numbers(path: str) -> tuple[int, int]:
    """(major, minor) of a device node on this host."""
    number = os.stat(path).st_rdev  # noqa: PTH116 - a one-line default that tests replace
    return os.major(number), os.minor(number)


def with_cards(spec: Spec, find: Callable[[], Driver], numbers: Numbers = device_numbers) -> Spec:
    """A copy of `spec` with what its NVIDIA_VISIBLE_DEVICES asks for; ToolkitError where that cannot be had.

    `find` is asked for the driver only where a card is wanted: other containers start without one.
    """
    ids = requested((spec.get("process") or {}).get("env") or [])
    if not ids:
        return spec
    driver = find()
    return inject(without_hook(spec), injection(driver, cdi_cards(driver, ids)), numbers)


def without_hook(spec: Spec) -> Spec:
    """A copy of `spec` without NVIDIA's prestart hook: this runtime does its work, and twice would clash."""
    edited = copy.deepcopy(spec)
    hooks = edited.get("hooks") or {}
    for stage in ("prestart", "createRuntime"):
        if stage in hooks:
            hooks[stage] = [hook for hook in hooks[stage] if os.path.basename(hook["path"]) not in HOOKS]  # noqa: PTH119
    return edited


def inject(spec: Spec, wanted: Injection, numbers: Numbers = device_numbers) -> Spec:
    """A copy of `spec` with the mounts and device nodes of `wanted`; anything already there stays single."""
    edited = copy.deepcopy(spec)
    mounts = edited.setdefault("mounts", [])
    there = {mount["destination"] for mount in mounts}
    for source, destination in wanted.mounts:
        if destination not in there:
            mounts.append(
                {"destination": destination, "source": source, "type": "bind", "options": list(MOUNT_OPTIONS)}
            )
    linux = edited.setdefault("linux", {})
    devices = linux.setdefault("devices", None) or []
    rules = linux.setdefault("resources", {}).setdefault("devices", None) or []
    known = {device["path"] for device in devices}
    for path in wanted.devices:
        major, minor = numbers(path)
        if path not in known:
            node = {"path": path, "type": "c", "major": major, "minor": minor, "fileMode": 0o666}
            devices.append({**node, "uid": 0, "gid": 0})
        rules.append({"allow": True, "type": "c", "major": major, "minor": minor, "access": "rwm"})
    linux["devices"], linux["resources"]["devices"] = devices, rules
    return edited
