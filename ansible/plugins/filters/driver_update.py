"""What an update of the NVIDIA driver asks for, from what Windows, the guest and the containers say."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Answer = Mapping[str, Any]
Adapters = Sequence[Mapping[str, Any]]


def driver_restart(answer: Answer, adapters: Adapters, has_dxg: bool) -> list[str]:
    """Why WSL has to start afresh; empty where it has not.

    `answer` is the fact gpu_pin_answer, `adapters` the NVIDIA adapters of Windows (empty where it was not asked).
    """
    if answer["problem"]:
        # Of the three parts of its message, the first: what comes next is done here.
        return [answer["problem"].removeprefix("found: ").partition("; expected: ")[0]]
    reasons = []
    if answer["mode"] == "wsl" and not has_dxg:
        reasons.append("the guest has no /dev/dxg")
    versions = _versions(adapters)
    if versions and answer["driver_version"] not in versions:
        reasons.append(
            f"Windows has driver {' and '.join(versions)}, and the guest still {answer['driver_version']}"
        )
    # A card that failed by itself does not come back with WSL.
    healthy = Counter(adapter["name"] for adapter in adapters if adapter["error"] == 0)
    unseen = healthy - Counter(gpu["name"] for gpu in answer["gpus"])
    if unseen:
        reasons.append(f"Windows has {', '.join(unseen.elements())}, and the guest does not see it")
    return reasons


def driver_note(answer: Answer, adapters: Adapters) -> dict[str, Any]:
    """What is noted of a driver with which the services run: versions, folders of the driver store, cards."""
    return {
        "driver": answer["driver_version"],
        "windows": _versions(adapters),
        "stores": sorted({adapter["store"] for adapter in adapters} - {""}),
        "cards": {gpu["uuid"]: gpu["pci_bus_id"] for gpu in answer["gpus"]},
    }


def driver_changes(note: Mapping[str, Any], noted: str) -> list[str]:
    """What differs from the note of the last run, whose text is `noted`; nothing where there is none."""
    try:
        before = json.loads(noted)
    except ValueError:
        return []
    return [f"{key} was {before.get(key)} and is {note[key]}" for key in note if before.get(key) != note[key]]


def container_faults(inspected: str, health: Mapping[str, Any], pin: Mapping[str, Any] | None) -> list[str]:
    """Why ComfyUI's container has to be made anew, or to go; empty where it is as its pin says.

    `inspected` is its environment as JSON, empty where there is no container; `health` the result of the health
    check inside of it; `pin` None where its card is gone.
    """
    if pin is None:
        return ["comfyui-qwen runs without its card"] if inspected else []
    if not inspected:
        return ["there is no container comfyui-qwen"]
    environment = dict(line.partition("=")[::2] for line in json.loads(inspected))
    faults = [
        f"comfyui-qwen has {name}={environment.get(name)}, and the cards of today ask for {value}"
        for name, value in pin["environment"].items()
        if environment.get(name) != value
    ]
    if health["rc"] != 0:
        said = (health["stdout"] or health["stderr"]).strip()
        faults.append(f"comfyui-qwen is not healthy: {said}")
    return faults


def _versions(adapters: Adapters) -> list[str]:
    return sorted({adapter["version"] for adapter in adapters} - {""})


class FilterModule:
    """Ansible looks here for the filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name to function."""
        return {
            "driver_restart": driver_restart,
            "driver_note": driver_note,
            "driver_changes": driver_changes,
            "container_faults": container_faults,
        }
