"""WSL: a container with the nvidia runtime sees all cards, and any other container none."""

from __future__ import annotations

import json
from typing import Any

from testinfra.host import Host

from tests.molecule.conftest import Probe

ALL = ("--runtime", "nvidia", "--env", "NVIDIA_VISIBLE_DEVICES=all")


def environment(pin: dict[str, Any]) -> list[str]:
    """The options that give a container what its pin says."""
    return [word for name, value in pin["environment"].items() for word in ("--env", f"{name}={value}")]


def test_a_container_with_the_nvidia_runtime_sees_every_card(guest: Host, probe: Probe) -> None:
    listed = guest.check_output("/usr/lib/wsl/lib/nvidia-smi --query-gpu=uuid --format=csv,noheader")
    assert len(listed.splitlines()) == 2
    assert probe.cards(*ALL) == listed.splitlines()
    assert probe.devices(*ALL) == {"dxg"}


def test_a_container_without_it_sees_no_card_and_no_driver(probe: Probe) -> None:
    assert probe.devices() == set()
    assert probe.run(command="nvidia-smi").rc == 127


def test_the_runtime_alone_gives_nothing_to_a_container_that_asks_for_no_card(probe: Probe) -> None:
    assert probe.devices("--runtime", "nvidia") == set()


def test_one_card_alone_is_refused_because_wsl_cannot_give_it(probe: Probe, pins: dict[str, Any]) -> None:
    uuid = pins["by-uuid"]["uuid"]
    refused = probe.run("--runtime", "nvidia", "--env", f"NVIDIA_VISIBLE_DEVICES={uuid}")
    assert refused.rc != 0
    assert uuid in refused.stderr


def test_each_pin_selects_the_card_of_its_name_in_its_form(probe: Probe, pins: dict[str, Any]) -> None:
    for form in ("uuid", "index"):
        pin = pins[f"by-{form}"]
        assert pin["mode"] == "wsl"
        assert pin["device_ids"] == [], "an id selects nothing in WSL"
        assert pin["environment"]["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
        assert pin["environment"]["CUDA_VISIBLE_DEVICES"] == str(pin[form])
        # The card that the pin names stands at that place among those that its container sees.
        seen = probe.cards("--runtime", "nvidia", *environment(pin))
        assert seen[pin["index"]] == pin["uuid"]


def test_the_options_that_somebody_else_gave_docker_are_kept(guest: Host) -> None:
    options = json.loads(guest.file("/etc/docker/daemon.json").content_string)
    assert options["log-opts"] == {"max-size": "7m"}
    assert options["registry-mirrors"] == ["http://registry:5000"]
    assert options["runtimes"]["nvidia"]["path"] == "nvidia-container-runtime"
    # What Docker runs with, not only what the file says.
    assert "nvidia" in json.loads(guest.check_output("docker info --format '{{json .Runtimes}}'"))


def test_the_toolkit_is_held_at_its_version(guest: Host) -> None:
    policy = guest.check_output("apt-cache policy nvidia-container-toolkit")
    lines = [line.split(": ") for line in policy.splitlines() if ": " in line]
    versions = {name.strip(): value for name, value in lines}
    assert versions["Installed"] == versions["Candidate"]
    assert guest.package("nvidia-container-toolkit").version == versions["Installed"]


def test_docker_starts_with_the_guest(guest: Host) -> None:
    assert guest.service("docker").is_enabled
    assert guest.service("docker").is_running
