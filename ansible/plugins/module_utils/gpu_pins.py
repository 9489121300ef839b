"""Which card each service gets: exact name to UUID, and what a container needs so that it sees that card.

An index is never the input. nvidia-smi counts by PCI bus, CUDA by speed unless told otherwise, and both
change when a card is moved; the index given out here is derived anew on every deployment.
"""

from __future__ import annotations

from typing import Any

# Ansible puts the project's own module_utils into this package.
from ansible.module_utils.nvidia_smi import Gpu, advice, normal_pci  # type: ignore[import-untyped]

FORMS = ("uuid", "index")
TEXTS = ("name", "uuid", "pci_bus_id", "form", "variant")
KEYS = (*TEXTS, "runs", "vram_budget_mb")
_CORRECT = "correct gpu_pin_services in the inventory"


class PinError(Exception):
    """One or more services cannot be pinned; the message has a sentence for each."""


def resolve(
    services: dict[str, Any], gpus: tuple[Gpu, ...], lost: tuple[str, ...], mode: str
) -> dict[str, Any]:
    """Service -> pin, for every service that runs; PinError names all that cannot be pinned at once.

    `gpus` is in order of the PCI bus, so that a card's place in it is its number under
    CUDA_DEVICE_ORDER=PCI_BUS_ID.
    """
    pins, problems = resolve_some(services, gpus, lost, mode)
    _raise_all(problems)
    return pins


def resolve_some(
    services: dict[str, Any], gpus: tuple[Gpu, ...], lost: tuple[str, ...], mode: str
) -> tuple[dict[str, Any], dict[str, str]]:
    """(service -> pin, service -> why it has no card), for when the rest shall run without a lost card.

    A line that is malformed is no lost card: PinError, here too.
    """
    malformed, pins, problems = {}, {}, {}
    for service, wish in sorted(services.items()):
        try:
            _check(wish)
        except PinError as error:
            malformed[service] = str(error)
    _raise_all(malformed)
    for service, wish in sorted(services.items()):
        if not runs(wish):
            continue
        try:
            pins[service] = _without_card(wish) if mode == "cpu" else _pin(wish, gpus, lost, mode)
        except PinError as error:
            problems[service] = str(error)
    return pins, problems


def _raise_all(problems: dict[str, str]) -> None:
    if problems:
        raise PinError("\n".join(f"{service}: {problem}" for service, problem in problems.items()))


def runs(wish: dict[str, Any]) -> bool:
    """False for a service that the plan knows and leaves off: its card and its memory are nobody's business."""
    return bool(wish.get("runs", True))


def _check(wish: object) -> None:
    example = "{name: NVIDIA GeForce RTX 3090}"
    if not isinstance(wish, dict):
        raise PinError(advice(repr(wish), f"a mapping like {example}", _CORRECT))
    unknown = [str(key) for key in wish if key not in KEYS]
    if unknown:
        raise PinError(
            advice(f"unknown key {', '.join(unknown)}", f"{', '.join(KEYS)} (an index is no pin)", _CORRECT)
        )
    for key in TEXTS:
        if key in wish and not (isinstance(wish[key], str) and wish[key].strip()):
            raise PinError(advice(f"{key} is {wish[key]!r}", "text", _CORRECT))
    if not isinstance(wish.get("runs", True), bool):
        raise PinError(advice(f"runs is {wish['runs']!r}", "true or false", _CORRECT))
    budget = wish.get("vram_budget_mb", 0)
    if not isinstance(budget, int) or isinstance(budget, bool) or budget < 0:
        raise PinError(advice(f"vram_budget_mb is {budget!r}", "a whole number of MiB", _CORRECT))
    if "name" not in wish:
        raise PinError(advice("no name", f"the card's exact name, {example}", _CORRECT))
    if wish.get("form", "uuid") not in FORMS:
        raise PinError(advice(f"form {wish['form']!r}", " or ".join(FORMS), _CORRECT))


def _pin(wish: dict[str, Any], gpus: tuple[Gpu, ...], lost: tuple[str, ...], mode: str) -> dict[str, Any]:
    gpu = _only_match(wish, gpus, lost)
    index = gpus.index(gpu)
    form = wish.get("form", "uuid")
    environment = {
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
        **_expectation(mode, gpu.name, gpu.uuid, gpu.memory_mib),
    }
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


def _without_card(wish: dict[str, Any]) -> dict[str, Any]:
    """The pin of a service on a host without a card, where the processor computes (slowly, and on purpose)."""
    return {
        **dict.fromkeys(("name", "uuid", "index", "pci_bus_id", "memory_mib", "driver_version")),
        "form": wish.get("form", "uuid"),
        "mode": "cpu",
        # An empty list hides the cards that the host may have after all.
        "environment": {"CUDA_VISIBLE_DEVICES": "", **_expectation("cpu", "", "", None)},
        "device_ids": [],
    }


def _expectation(mode: str, name: str, uuid: str, memory_mib: int | None) -> dict[str, str]:
    """What the self-check of a container's start compares its device 0 with (comfyui/image/start.py)."""
    return {
        "COMFYSTACK_GPU_MODE": mode,
        "COMFYSTACK_GPU_NAME": name,
        "COMFYSTACK_GPU_UUID": uuid,
        "COMFYSTACK_GPU_MEMORY_MIB": "" if memory_mib is None else str(memory_mib),
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
        if matches[0].mig:
            raise PinError(
                advice(
                    f"{wanted} ({matches[0].uuid}) is divided into MIG instances",
                    "a whole card",
                    f"give it back as one with `nvidia-smi -i {matches[0].uuid} -mig 0`, or name another card",
                )
            )
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
