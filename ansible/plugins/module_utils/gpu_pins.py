"""Which card each service gets: exact name to UUID, and what a container needs so that it sees that card.

An index is never the input. nvidia-smi counts by PCI bus, CUDA by speed unless told otherwise, and both
change when a card is moved; the index given out here is derived anew on every deployment.
"""

from __future__ import annotations

from typing import Any

# Ansible puts the project's own module_utils into this package.
from ansible.module_utils.nvidia_smi import Gpu, advice, normal_pci  # type: ignore[import-untyped]

FORMS = ("uuid", "index")
KEYS = ("name", "uuid", "pci_bus_id", "form")
_CORRECT = "correct gpu_pin_services in the inventory"


class PinError(Exception):
    """One or more services cannot be pinned; the message has a sentence for each."""


def resolve(
    services: dict[str, Any], gpus: tuple[Gpu, ...], lost: tuple[str, ...], mode: str
) -> dict[str, Any]:
    """Service -> pin, for every service; PinError names all that cannot be pinned at once.

    `gpus` is in order of the PCI bus, so that a card's place in it is its number under
    CUDA_DEVICE_ORDER=PCI_BUS_ID.
    """
    pins, problems = {}, []
    for service, wish in sorted(services.items()):
        try:
            pins[service] = _pin(_checked(wish), gpus, lost, mode)
        except PinError as error:
            problems.append(f"{service}: {error}")
    if problems:
        raise PinError("\n".join(problems))
    return pins


def _checked(wish: object) -> dict[str, Any]:
    example = "{name: NVIDIA GeForce RTX 3090}"
    if not isinstance(wish, dict):
        raise PinError(advice(repr(wish), f"a mapping like {example}", _CORRECT))
    unknown = [str(key) for key in wish if key not in KEYS]
    if unknown:
        raise PinError(
            advice(f"unknown key {', '.join(unknown)}", f"{', '.join(KEYS)} (an index is no pin)", _CORRECT)
        )
    for key, value in wish.items():
        if not (isinstance(value, str) and value.strip()):
            raise PinError(advice(f"{key} is {value!r}", "text", _CORRECT))
    if "name" not in wish:
        raise PinError(advice("no name", f"the card's exact name, {example}", _CORRECT))
    if wish.get("form", "uuid") not in FORMS:
        raise PinError(advice(f"form {wish['form']!r}", " or ".join(FORMS), _CORRECT))
    return wish


def _pin(wish: dict[str, Any], gpus: tuple[Gpu, ...], lost: tuple[str, ...], mode: str) -> dict[str, Any]:
    gpu = _only_match(wish, gpus, lost)
    index = gpus.index(gpu)
    form = wish.get("form", "uuid")
    environment = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "NVIDIA_DRIVER_CAPABILITIES": "compute,utility"}
    if mode == "wsl":
        # WSL2 hands out all cards or none; CUDA_VISIBLE_DEVICES selects, and nothing isolates.
        environment["NVIDIA_VISIBLE_DEVICES"] = "all"
        environment["CUDA_VISIBLE_DEVICES"] = gpu.uuid if form == "uuid" else str(index)
    else:
        # The engine injects this one card, which is then number 0 inside.
        environment["CUDA_VISIBLE_DEVICES"] = gpu.uuid if form == "uuid" else "0"
    return {
        "name": gpu.name,
        "uuid": gpu.uuid,
        "index": index,
        "pci_bus_id": gpu.pci_bus_id,
        "memory_mib": gpu.memory_mib,
        "driver_version": gpu.driver_version,
        "form": form,
        "mode": mode,
        "environment": environment,
        "device_ids": [] if mode == "wsl" else [gpu.uuid],
    }


def _only_match(wish: dict[str, Any], gpus: tuple[Gpu, ...], lost: tuple[str, ...]) -> Gpu:
    """The one card of that exact name, and of that UUID or address where given."""
    wanted = f"'{wish['name']}'"
    matches = [gpu for gpu in gpus if gpu.name == wish["name"].strip()]
    if "uuid" in wish:
        wanted += f" with UUID {wish['uuid']}"
        matches = [gpu for gpu in matches if gpu.uuid.lower() == wish["uuid"].strip().lower()]
    if "pci_bus_id" in wish:
        try:
            address = normal_pci(wish["pci_bus_id"])
        except ValueError as error:
            raise PinError(advice(str(error), "a PCI address", _CORRECT)) from error
        wanted += f" at {address}"
        matches = [gpu for gpu in matches if gpu.pci_bus_id == address]
    if len(matches) == 1:
        return matches[0]
    there = "; ".join(f"{gpu.name} ({gpu.uuid}, {gpu.pci_bus_id})" for gpu in gpus)
    if lost:
        there += f"; and a card that does not answer: {' / '.join(lost)}"
    if matches:
        raise PinError(
            advice(
                f"{len(matches)} cards match {wanted}: {there}",
                "exactly one",
                "add uuid or pci_bus_id of the one that is meant to gpu_pin_services",
            )
        )
    raise PinError(
        advice(
            f"no card matches {wanted} on this host, which has {there}",
            "exactly one",
            "put the name of one of these into gpu_pin_services as it stands here, or bring the card back",
        )
    )
