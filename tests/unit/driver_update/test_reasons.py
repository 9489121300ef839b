"""What a driver update is asked to do follows from what Windows, the guest and the containers say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.own_modules import PLUGINS, load

own = load("driver_update_filters", PLUGINS / "filters" / "driver_update.py")

ADAPTERS = [
    {"name": "NVIDIA GeForce RTX 3080", "version": "580.97", "store": "nv_dispi.inf_amd64_1", "error": 0},
    {"name": "NVIDIA GeForce RTX 3090", "version": "580.97", "store": "nv_dispi.inf_amd64_1", "error": 0},
]
GPUS = [
    {"name": "NVIDIA GeForce RTX 3080", "uuid": "GPU-80", "pci_bus_id": "00000000:01:00.0"},
    {"name": "NVIDIA GeForce RTX 3090", "uuid": "GPU-90", "pci_bus_id": "00000000:02:00.0"},
]
PIN = {"environment": {"CUDA_VISIBLE_DEVICES": "GPU-90", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}}
ENVIRONMENT = json.dumps(["PATH=/bin", "CUDA_VISIBLE_DEVICES=GPU-90", "CUDA_DEVICE_ORDER=PCI_BUS_ID"])
WELL = {"rc": 0, "stdout": "NVIDIA GeForce RTX 3090", "stderr": ""}


def answer(**different: Any) -> dict[str, Any]:
    return {"problem": "", "mode": "wsl", "driver_version": "580.97", "gpus": GPUS, **different}


def adapters(**different: Any) -> list[dict[str, Any]]:
    """Windows, whose 3090 is different."""
    return [ADAPTERS[0], {**ADAPTERS[1], **different}]


class TestWslStartsAfresh:
    def test_not_where_everything_agrees(self) -> None:
        assert own.driver_restart(answer(), ADAPTERS, True) == []

    def test_not_for_want_of_a_windows_that_can_be_asked(self) -> None:
        assert own.driver_restart(answer(), [], True) == []
        assert own.driver_restart(answer(mode="native"), [], False) == []

    def test_where_nvidia_smi_says_no(self) -> None:
        problem = "found: it hangs; expected: the list of cards; next step: restart"
        assert own.driver_restart(answer(problem=problem), ADAPTERS, True) == ["it hangs"]

    def test_where_windows_has_another_version(self) -> None:
        newer = [{**adapter, "version": "581.29"} for adapter in ADAPTERS]
        (reason,) = own.driver_restart(answer(), newer, True)
        assert reason == "Windows has driver 581.29, and the guest still 580.97"

    def test_where_windows_hands_nothing_in(self) -> None:
        assert own.driver_restart(answer(), ADAPTERS, False) == ["the guest has no /dev/dxg"]

    def test_where_windows_has_a_card_that_the_guest_does_not_see(self) -> None:
        (reason,) = own.driver_restart(answer(gpus=GPUS[:1]), ADAPTERS, True)
        assert reason == "Windows has NVIDIA GeForce RTX 3090, and the guest does not see it"
        twins = [ADAPTERS[1], ADAPTERS[1]]
        assert own.driver_restart(answer(gpus=GPUS[1:]), twins, True), "one of two cards of one name"

    def test_not_for_a_card_that_failed_by_itself(self) -> None:
        assert own.driver_restart(answer(gpus=GPUS[:1]), adapters(error=43), True) == []


class TestContainersAreMadeAnew:
    def test_not_where_they_are_as_the_cards_ask_for(self) -> None:
        assert own.container_faults(ENVIRONMENT, WELL, PIN) == []

    def test_where_the_pin_is_that_of_the_cards_of_before(self) -> None:
        pin = {"environment": {"CUDA_VISIBLE_DEVICES": "0", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}}
        (fault,) = own.container_faults(ENVIRONMENT, WELL, pin)
        assert "CUDA_VISIBLE_DEVICES=GPU-90, and the cards of today ask for 0" in fault

    def test_where_comfyui_has_lost_its_card(self) -> None:
        ill = {"rc": 1, "stdout": "found: cpu; expected: NVIDIA GeForce RTX 3090\n", "stderr": ""}
        assert own.container_faults(ENVIRONMENT, ill, PIN) == [
            "comfyui-qwen is not healthy: found: cpu; expected: NVIDIA GeForce RTX 3090"
        ]

    def test_where_there_is_none(self) -> None:
        assert own.container_faults("", {"rc": 1}, PIN) == ["there is no container comfyui-qwen"]

    def test_or_are_ended_where_their_card_is_gone(self) -> None:
        assert own.container_faults(ENVIRONMENT, WELL, None) == ["comfyui-qwen runs without its card"]
        assert own.container_faults("", {"rc": 1}, None) == [], "it is down already"


class TestTheNote:
    def test_of_the_same_driver_and_cards_asks_for_nothing(self) -> None:
        note = own.driver_note(answer(), ADAPTERS)
        assert own.driver_changes(note, json.dumps(note)) == []

    @pytest.mark.parametrize("text", ["", "no JSON"])
    def test_that_nobody_wrote_asks_for_nothing(self, text: str) -> None:
        assert own.driver_changes(own.driver_note(answer(), ADAPTERS), text) == []

    def test_names_what_has_changed_where_somebody_else_started_wsl_afresh(self) -> None:
        noted = json.dumps(own.driver_note(answer(), ADAPTERS))
        moved = [{**GPUS[0], "pci_bus_id": "00000000:03:00.0"}, GPUS[1]]
        (change,) = own.driver_changes(own.driver_note(answer(gpus=moved), ADAPTERS), noted)
        assert change.startswith("cards was {'GPU-80': '00000000:01:00.0'")
        other = [{**adapter, "store": "nv_dispi.inf_amd64_2"} for adapter in ADAPTERS]
        (change,) = own.driver_changes(own.driver_note(answer(), other), noted)
        assert change == "stores was ['nv_dispi.inf_amd64_1'] and is ['nv_dispi.inf_amd64_2']"
