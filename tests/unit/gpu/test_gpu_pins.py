"""A service gets the card that its name says, on whatever number that card has today."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .conftest import gpu_pins, nvidia_smi

RTX_3080 = nvidia_smi.Gpu(
    0, "NVIDIA GeForce RTX 3080", "GPU-6a1f0c52", "00000000:01:00.0", 16384, "580.97", "8.6"
)
RTX_3090 = nvidia_smi.Gpu(
    1, "NVIDIA GeForce RTX 3090", "GPU-e47b2d90", "00000000:02:00.0", 24576, "580.97", "8.6"
)
TI = dataclasses.replace(
    RTX_3090, index=2, name="NVIDIA GeForce RTX 3090 Ti", uuid="GPU-0", pci_bus_id="00000000:03:00.0"
)
TWIN = dataclasses.replace(RTX_3090, index=3, uuid="GPU-11111111", pci_bus_id="00000000:04:00.0")
QWEN = {"name": "NVIDIA GeForce RTX 3090"}


def resolve(services: dict[str, Any], *gpus: Any, mode: str = "wsl", lost: tuple[str, ...] = ()) -> Any:
    return gpu_pins.resolve(services, gpus, lost, mode)


def refusal(services: dict[str, Any], *gpus: Any, lost: tuple[str, ...] = ()) -> str:
    with pytest.raises(gpu_pins.PinError) as caught:
        resolve(services, *gpus, lost=lost)
    return str(caught.value)


def test_in_wsl_a_service_sees_all_cards_and_selects_its_own_by_uuid() -> None:
    pin = resolve({"qwen": QWEN}, RTX_3080, RTX_3090)["qwen"]
    assert pin["environment"] == {
        "CUDA_VISIBLE_DEVICES": "GPU-e47b2d90",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "NVIDIA_VISIBLE_DEVICES": "all",
        "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
        # For the self-check of the container's start.
        "COMFYSTACK_GPU_MODE": "wsl",
        "COMFYSTACK_GPU_NAME": "NVIDIA GeForce RTX 3090",
        "COMFYSTACK_GPU_UUID": "GPU-e47b2d90",
        "COMFYSTACK_GPU_MEMORY_MIB": "24576",
    }
    assert pin["device_ids"] == []
    assert (pin["mode"], pin["index"], pin["memory_mib"]) == ("wsl", 1, 24576)


def test_on_native_linux_the_engine_injects_the_one_card_by_uuid() -> None:
    pin = resolve({"qwen": QWEN}, RTX_3080, RTX_3090, mode="native")["qwen"]
    assert pin["device_ids"] == ["GPU-e47b2d90"]
    # The engine sets this one itself, to the card that is reserved.
    assert "NVIDIA_VISIBLE_DEVICES" not in pin["environment"]


def test_an_application_that_cannot_read_a_uuid_gets_the_number_in_order_of_the_bus() -> None:
    wish = {"qwen": {**QWEN, "form": "index"}}
    environment = resolve(wish, RTX_3080, RTX_3090)["qwen"]["environment"]
    assert (environment["CUDA_VISIBLE_DEVICES"], environment["CUDA_DEVICE_ORDER"]) == ("1", "PCI_BUS_ID")
    # One card was injected, so it is number 0 inside.
    inside = resolve(wish, RTX_3080, RTX_3090, mode="native")["qwen"]["environment"]
    assert inside["CUDA_VISIBLE_DEVICES"] == "0"


def test_the_pin_follows_a_card_that_was_moved_to_another_slot() -> None:
    moved = dataclasses.replace(RTX_3090, index=0, pci_bus_id="00000000:00:0A.0")
    pin = resolve({"qwen": {**QWEN, "form": "index"}}, moved, RTX_3080)["qwen"]
    assert (pin["uuid"], pin["environment"]["CUDA_VISIBLE_DEVICES"]) == ("GPU-e47b2d90", "0")


def test_the_number_counts_the_cards_that_answer_not_the_gaps() -> None:
    pin = resolve({"qwen": {**QWEN, "form": "index"}}, RTX_3090, lost=("GPU0 is lost",))["qwen"]
    assert pin["environment"]["CUDA_VISIBLE_DEVICES"] == "0"


def test_a_3090_is_not_a_3090_ti() -> None:
    assert resolve({"qwen": QWEN}, RTX_3080, RTX_3090, TI)["qwen"]["uuid"] == "GPU-e47b2d90"
    message = refusal({"qwen": QWEN}, RTX_3080, TI)
    assert "no card matches 'NVIDIA GeForce RTX 3090'" in message
    assert "NVIDIA GeForce RTX 3090 Ti (GPU-0, 00000000:03:00.0)" in message


def test_two_cards_of_one_name_need_a_uuid_or_an_address() -> None:
    cards = (RTX_3080, RTX_3090, TWIN)
    message = refusal({"qwen": QWEN}, *cards)
    assert "2 cards match" in message
    assert "add uuid or pci_bus_id" in message
    for extra in ({"uuid": "gpu-11111111"}, {"pci_bus_id": "04:00.0"}):
        assert resolve({"qwen": {**QWEN, **extra}}, *cards)["qwen"]["uuid"] == "GPU-11111111"


def test_a_uuid_of_a_card_of_another_name_matches_nothing() -> None:
    assert "no card matches" in refusal({"qwen": {**QWEN, "uuid": RTX_3080.uuid}}, RTX_3080, RTX_3090)


def test_all_services_that_cannot_be_pinned_are_named_at_once_and_a_lost_card_is_told() -> None:
    message = refusal({"qwen": QWEN, "forge": {"name": "Tesla"}}, RTX_3080, lost=("GPU1: Unknown Error",))
    assert [line.split(":")[0] for line in message.splitlines()] == ["forge", "qwen"]
    assert message.count("a card that does not answer: GPU1: Unknown Error") == 2


@pytest.mark.parametrize(
    ("wish", "text"),
    [
        ("NVIDIA GeForce RTX 3090", "a mapping like"),
        ({"index": 1}, "an index is no pin"),
        ({"uuid": "GPU-e47b2d90"}, "no name"),
        ({"name": 3090}, "name is 3090"),
        ({"name": " "}, "name is ' '"),
        ({**QWEN, "form": "number"}, "uuid or index"),
        ({**QWEN, "pci_bus_id": "slot 2"}, "is no PCI address"),
        (None, "a mapping like"),
        ({**QWEN, "runs": "no"}, "true or false"),
        ({**QWEN, "vram_budget_mb": "8 GB"}, "a whole number of MiB"),
        ({**QWEN, "vram_budget_mb": True}, "a whole number of MiB"),
        ({**QWEN, "variant": 8}, "variant is 8"),
    ],
)
def test_a_malformed_wish_is_told_with_the_service_it_stands_at(wish: object, text: str) -> None:
    message = refusal({"qwen": wish}, RTX_3080, RTX_3090)
    assert message.startswith("qwen: found: ")
    assert text in message


def test_each_service_has_a_card_of_its_own() -> None:
    services = {"qwen": QWEN, "forge": {"name": RTX_3080.name, "form": "index"}}
    pins = resolve(services, RTX_3080, RTX_3090)
    assert pins["qwen"]["environment"]["CUDA_VISIBLE_DEVICES"] == RTX_3090.uuid
    assert pins["forge"]["environment"]["CUDA_VISIBLE_DEVICES"] == "0"


def test_a_service_that_is_off_needs_no_card_but_its_line_must_be_right() -> None:
    assert list(resolve({"qwen": QWEN, "turbo": {"name": "none of these", "runs": False}}, RTX_3090)) == [
        "qwen"
    ]
    assert "unknown key index" in refusal({"turbo": {"index": 1, "runs": False}}, RTX_3090)


def test_the_services_of_a_lost_card_are_told_and_the_others_pinned() -> None:
    services = {"qwen": QWEN, "forge": {"name": RTX_3080.name}}
    pins, left_out = gpu_pins.resolve_some(services, (RTX_3080,), ("GPU1: GPU is lost",), "wsl")
    assert list(pins) == ["forge"]
    assert "a card that does not answer: GPU1: GPU is lost" in left_out["qwen"]
    with pytest.raises(gpu_pins.PinError, match="forge: found: unknown key index"):
        gpu_pins.resolve_some({**services, "forge": {"index": 0}}, (RTX_3080,), (), "wsl")


def test_without_a_card_nothing_is_asked_for_and_nothing_is_visible() -> None:
    pin = resolve({"qwen": QWEN}, mode="cpu")["qwen"]
    assert (pin["mode"], pin["uuid"], pin["device_ids"]) == ("cpu", None, [])
    assert pin["environment"]["CUDA_VISIBLE_DEVICES"] == ""
    assert pin["environment"]["COMFYSTACK_GPU_MODE"] == "cpu"


def test_a_card_that_is_divided_is_refused_with_the_way_back() -> None:
    message = refusal({"qwen": QWEN}, dataclasses.replace(RTX_3090, mig=True))
    assert "is divided into MIG instances" in message
    assert "`nvidia-smi -i GPU-e47b2d90 -mig 0`" in message


@given(order=st.permutations([RTX_3080, RTX_3090, TI, TWIN]), form=st.sampled_from(["uuid", "index"]))
def test_whatever_slots_the_cards_stand_in_the_pin_names_the_same_card(order: list[Any], form: str) -> None:
    slots = (f"00000000:{number:02X}:00.0" for number in itertools.count(1))
    seated = [dataclasses.replace(gpu, pci_bus_id=slot) for gpu, slot in zip(order, slots, strict=False)]
    pin = resolve({"qwen": {"name": TI.name, "form": form}}, *seated)["qwen"]
    selected = pin["environment"]["CUDA_VISIBLE_DEVICES"]
    assert (seated[int(selected)].uuid if form == "index" else selected) == TI.uuid
