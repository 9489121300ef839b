"""Linux without Windows: the engine hands out single cards, so that a pin isolates."""

from __future__ import annotations

import json
from typing import Any

import pytest
from testinfra.host import Host

from tests.molecule.conftest import Probe


@pytest.fixture
def pin(pins: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = pins["by-uuid"]
    return found


def reservation(pin: dict[str, Any]) -> tuple[str, str]:
    """The option that is to `docker run` what a device reservation is to Compose."""
    return ("--gpus", f'"device={",".join(pin["device_ids"])}"')


def test_the_pinned_card_is_the_only_one_in_its_container(
    guest: Host, probe: Probe, pin: dict[str, Any]
) -> None:
    everything = guest.check_output("nvidia-smi --query-gpu=uuid --format=csv,noheader").splitlines()
    assert len(everything) == 2
    assert probe.cards(*reservation(pin)) == [pin["uuid"]]


def test_no_device_node_of_another_card_is_there(probe: Probe, pin: dict[str, Any]) -> None:
    assert probe.devices(*reservation(pin)) == {"nvidiactl", "nvidia1"}


def test_a_container_without_a_reservation_sees_no_card(probe: Probe) -> None:
    assert probe.devices() == set()
    assert probe.run(command="nvidia-smi").rc == 127


def test_a_card_that_is_not_there_is_refused(probe: Probe) -> None:
    refused = probe.run("--gpus", '"device=GPU-00000000-0000-0000-0000-000000000000"')
    assert refused.rc != 0
    assert "unknown device" in refused.stderr


def test_both_forms_of_a_pin_mean_the_first_card_inside(pins: dict[str, Any]) -> None:
    uuid, index = pins["by-uuid"], pins["by-index"]
    assert uuid["mode"] == index["mode"] == "native"
    assert uuid["device_ids"] == index["device_ids"] == [uuid["uuid"]]
    assert uuid["environment"]["CUDA_VISIBLE_DEVICES"] == uuid["uuid"]
    # Alone in its container the card is number 0, whatever its number on the host.
    assert index["environment"]["CUDA_VISIBLE_DEVICES"] == "0"
    assert index["index"] == 1


def test_the_device_specification_names_what_is_there_and_is_written_at_every_start(guest: Host) -> None:
    document = json.loads(guest.file("/etc/cdi/nvidia.yaml").content_string)
    paths = [mount["hostPath"] for mount in document["containerEdits"]["mounts"]]
    assert paths
    assert [path for path in paths if not guest.file(path).exists] == []
    assert guest.service("comfystack-cdi").is_enabled
