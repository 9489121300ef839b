"""The service runs on the card it is pinned to, whatever the order in which anything numbers the cards."""

from __future__ import annotations

import json

import pytest
from comfystack import ComfyClient
from testinfra.host import Host

from .conftest import Access

SERVICE = "comfyui-qwen"
# Asked of torch itself, because an index in any configuration file proves nothing.
ASK_TORCH = (
    "import json, torch; card = torch.cuda.get_device_properties(0);"
    " print(json.dumps([card.name, str(card.uuid), card.total_memory, torch.cuda.device_count()]))"
)


@pytest.fixture(scope="module")
def pin(access: Access) -> dict[str, object]:
    found: dict[str, object] = access.deployed["pins"][SERVICE]
    return found


def test_the_guest_still_has_the_pinned_card_under_its_name(guest: Host, pin: dict[str, object]) -> None:
    mode = "/usr/lib/wsl/lib/nvidia-smi" if pin["mode"] == "wsl" else "nvidia-smi"
    listed = guest.check_output(f"{mode} --query-gpu=uuid,name --format=csv,noheader")
    cards = dict(line.split(", ", 1) for line in listed.splitlines())
    assert cards.get(str(pin["uuid"])) == pin["name"], (
        f"found: {cards}; expected: {pin['uuid']} named {pin['name']}; next step: make deploy pins again by name"
    )


def test_torch_device_0_inside_the_container_is_the_pinned_card(guest: Host, pin: dict[str, object]) -> None:
    answer = guest.check_output(f"docker exec {SERVICE} python -c '{ASK_TORCH}'")
    name, uuid, memory, count = json.loads(answer)
    # torch prints the UUID without nvidia-smi's prefix.
    assert uuid.removeprefix("GPU-") == str(pin["uuid"]).removeprefix("GPU-"), (
        f"found: CUDA device 0 is {name} ({uuid}); expected: {pin['name']} ({pin['uuid']}); "
        "next step: look at the container's CUDA_VISIBLE_DEVICES and CUDA_DEVICE_ORDER"
    )
    assert name == pin["name"]
    assert count == 1, f"found: {count} devices visible to CUDA; expected: the pinned one alone"
    assert memory >= 0.9 * int(str(pin["memory_mib"])) * 1024**2


def test_comfyui_itself_says_it_computes_on_the_pinned_card(
    client: ComfyClient, pin: dict[str, object]
) -> None:
    devices = client.system_stats()["devices"]
    # "cuda:0 NVIDIA GeForce RTX 3090 : cudaMallocAsync"
    names = [device["name"].split(" ", 1)[-1].split(" : ")[0] for device in devices]
    assert names == [pin["name"]], f"found: {names}; expected: [{pin['name']}]"
