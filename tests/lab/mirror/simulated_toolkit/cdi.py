"""CDI specifications: which device names they offer in each mode, and what is in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .driver import Card, Driver, injection
from .oci import MOUNT_OPTIONS
from .selection import KIND

FOLDERS = ("/etc/cdi", "/var/run/cdi")


def specification(driver: Driver) -> dict[str, Any]:
    """The CDI document of a driver: `all`, and on native Linux each card by index and by UUID."""
    common = injection(driver, ())
    devices = [_device("all", driver, driver.cards, common.devices)]
    if driver.mode == "native":
        for card in driver.cards:
            devices += [
                _device(name, driver, (card,), common.devices) for name in (str(card["index"]), card["uuid"])
            ]
    mounts = [
        {"hostPath": source, "containerPath": target, "options": MOUNT_OPTIONS}
        for source, target in common.mounts
    ]
    shared: dict[str, Any] = {"mounts": mounts, "env": ["NVIDIA_VISIBLE_DEVICES=void"]}
    if driver.mode == "native":
        shared["deviceNodes"] = [{"path": path} for path in common.devices]
    return {"cdiVersion": "0.5.0", "kind": KIND, "devices": devices, "containerEdits": shared}


def _device(name: str, driver: Driver, cards: tuple[Card, ...], common: tuple[str, ...]) -> dict[str, Any]:
    nodes = [path for path in injection(driver, cards).devices if driver.mode == "wsl" or path not in common]
    return {"name": name, "containerEdits": {"deviceNodes": [{"path": path} for path in nodes]}}


def render(document: dict[str, Any]) -> str:
    """The document as text. JSON is YAML too, and the standard library has no YAML writer."""
    return json.dumps(document, indent=2) + "\n"


def names(folders: tuple[str, ...] = FOLDERS) -> list[str]:
    """Qualified device names of every specification file, as `nvidia-ctk cdi list` prints them."""
    found = set()
    for folder in folders:
        for file in sorted(Path(folder).glob("*")):
            if file.suffix in (".yaml", ".json"):
                document = json.loads(file.read_text(encoding="utf-8"))
                found |= {f"{document['kind']}={device['name']}" for device in document["devices"]}
    return sorted(found)
