"""What is wrong with a service's card: pure functions over what the host, the engine and ComfyUI say.

Each returns sentences, one for each thing found; empty where the pin holds. `pin` is the pin of access.json, as the
deployment resolved it; `Gpu` is a card of the host as it is now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tests.own_modules import module_utils

nvidia_smi = module_utils("nvidia_smi")

Pin = Mapping[str, Any]
# A module that is loaded from a file has no types of its own.
Gpu = Any
MIB = 1024 * 1024
AGAIN = "make deploy derives the pin anew"
# ComfyUI's options that overwrite CUDA_VISIBLE_DEVICES.
OVERWRITES = ("--cuda-device", "--default-device")


def cards(output: str, errors: str, code: int, mode: str) -> tuple[list[Gpu], list[str]]:
    """(the host's cards, in order of the PCI bus; what is wrong with nvidia-smi's answer)."""
    try:
        answer = nvidia_smi.read_query(output, errors, code, mode)
    except nvidia_smi.SmiFailure as failure:
        return [], [str(failure)]
    return list(answer.gpus), []


def host(gpus: Sequence[Gpu], pin: Pin) -> list[str]:
    """The host must have the pinned card, under its exact name."""
    there = "; ".join(_told(gpu.name, gpu.uuid) for gpu in gpus)
    (same,) = [gpu for gpu in gpus if gpu.uuid == pin["uuid"]] or [None]
    if same is not None and same.name == pin["name"]:
        return []
    step = "bring the card back, or correct gpu_pin_services; make deploy pins again by name"
    return [nvidia_smi.advice(f"this host has {there or 'no card'}", _told(pin["name"], pin["uuid"]), step)]


def configuration(document: Mapping[str, Any], gpus: Sequence[Gpu], pin: Pin) -> list[str]:
    """The container, as `docker inspect` describes it, must select the card as the deployment derived it.

    Also where it happens to work today: what was typed by hand points elsewhere after the next change of the cards.
    """
    environment = dict(line.partition("=")[::2] for line in document["Config"].get("Env") or [])
    words = [*(document.get("Args") or []), *(document["Config"].get("Cmd") or [])]
    return [
        *_options(words),
        *_selection(environment, gpus, pin),
        *_reservation(document["HostConfig"].get("DeviceRequests") or [], pin),
    ]


def _options(words: Iterable[str]) -> list[str]:
    named = {word.partition("=")[0] for word in words}
    found = []
    for option in sorted(named & {*OVERWRITES, "--cpu"}):
        effect = "computes on the processor" if option == "--cpu" else "overwrites CUDA_VISIBLE_DEVICES"
        found.append(
            nvidia_smi.advice(f"ComfyUI runs with {option}, which {effect}", "no such option", "make deploy")
        )
    return found


def _selection(environment: Mapping[str, str], gpus: Sequence[Gpu], pin: Pin) -> list[str]:
    found = []
    order = environment.get("CUDA_DEVICE_ORDER")
    if order != "PCI_BUS_ID":
        found.append(
            nvidia_smi.advice(
                f"CUDA_DEVICE_ORDER is {order or 'not set'}, so that CUDA counts the cards by speed",
                "PCI_BUS_ID",
                AGAIN,
            )
        )
    selected = environment.get("CUDA_VISIBLE_DEVICES")
    derived = _derived(gpus, pin)
    if selected == derived:
        return found
    if selected is None:
        said = "CUDA_VISIBLE_DEVICES is not set, so that CUDA begins with the card it likes best"
    elif selected.startswith("GPU-"):
        said = f"CUDA_VISIBLE_DEVICES={selected}, which is {_named(gpus, selected)}"
    elif pin["form"] == "uuid":
        said = f"CUDA_VISIBLE_DEVICES={selected}, a number that no deployment wrote{_at(gpus, selected, pin)}"
    else:
        said = f"CUDA_VISIBLE_DEVICES={selected}{_at(gpus, selected, pin)}"
    expected = f"{derived or 'no card'}, for {_told(pin['name'], pin['uuid'])}"
    return [*found, nvidia_smi.advice(said, expected, AGAIN)]


def _derived(gpus: Sequence[Gpu], pin: Pin) -> str:
    """What CUDA_VISIBLE_DEVICES has to be with the cards as they stand today."""
    if pin["form"] == "uuid":
        return str(pin["uuid"])
    if pin["mode"] == "native":
        return "0"
    return next((str(place) for place, gpu in enumerate(gpus) if gpu.uuid == pin["uuid"]), "")


def _at(gpus: Sequence[Gpu], selected: str, pin: Pin) -> str:
    """Which card a number means in order of the PCI bus; inside of a native container, it is the only one."""
    if pin["mode"] == "native":
        return ""
    first = selected.partition(",")[0].strip()
    place = int(first) if first.isdecimal() else -1
    card = _told(gpus[place].name, gpus[place].uuid) if 0 <= place < len(gpus) else "no card"
    return f"; by PCI bus that is {card}"


def _named(gpus: Sequence[Gpu], uuid: str) -> str:
    return next((gpu.name for gpu in gpus if gpu.uuid == uuid), "no card of this host")


def _reservation(requests: Sequence[Mapping[str, Any]], pin: Pin) -> list[str]:
    ids = [one for request in requests for one in request.get("DeviceIDs") or []]
    if ids == list(pin["device_ids"]):
        return []
    why = "WSL2 hands out all cards or none" if pin["mode"] == "wsl" else _told(pin["name"], pin["uuid"])
    return [nvidia_smi.advice(f"device_ids {ids}", f"{list(pin['device_ids'])}: {why}", AGAIN)]


def torch(answer: Mapping[str, Any], pin: Pin) -> list[str]:
    """Torch's device 0 in the container must be the pinned card, and the only one."""
    if "name" not in answer:
        return [
            nvidia_smi.advice(
                f"torch has no card in the container: {answer['error']}",
                _told(pin["name"], pin["uuid"]),
                "look at `docker logs`, and at nvidia-smi on the host; then make deploy",
            )
        ]
    found = []
    # torch prints the UUID without nvidia-smi's prefix.
    same = answer["uuid"].removeprefix("GPU-") == str(pin["uuid"]).removeprefix("GPU-")
    if not same or answer["name"] != pin["name"]:
        found.append(
            nvidia_smi.advice(
                f"CUDA device 0 is {answer['name']} ({answer['uuid']})",
                _told(pin["name"], pin["uuid"]),
                "look at the container's CUDA_VISIBLE_DEVICES and CUDA_DEVICE_ORDER; " + AGAIN,
            )
        )
    if answer["count"] != 1:
        found.append(
            nvidia_smi.advice(f"{answer['count']} devices visible to CUDA", "the pinned one alone", AGAIN)
        )
    if pin["memory_mib"] and answer["memory"] < 0.9 * pin["memory_mib"] * MIB:
        found.append(
            nvidia_smi.advice(f"{answer['memory'] // MIB} MiB on it", f"{pin['memory_mib']} MiB", AGAIN)
        )
    return found


def comfyui(devices: Sequence[Mapping[str, Any]], pin: Pin) -> list[str]:
    """ComfyUI itself, by its /system_stats, must compute on the pinned card and nowhere else."""
    # "cuda:0 NVIDIA GeForce RTX 3090 : cudaMallocAsync", or "cpu".
    names = [device["name"].split(" ", 1)[-1].split(" : ")[0] for device in devices]
    if any(device["type"] != "cuda" for device in devices):
        step = "look at ComfyUI's options and its log; a computation on the processor takes hours"
        return [nvidia_smi.advice(f"ComfyUI computes on {', '.join(names)}", str(pin["name"]), step)]
    if names != [pin["name"]]:
        return [nvidia_smi.advice(f"ComfyUI computes on {', '.join(names) or 'nothing'}", pin["name"], AGAIN)]
    return []


def _told(name: object, uuid: object) -> str:
    return f"{name} ({uuid})"
