"""The containers are healthy, and run as confined as they were meant to."""

from __future__ import annotations

import json
from typing import Any

import pytest
from testinfra.host import Host

from .conftest import Access

CONTAINERS = ("comfyui-qwen", "api", "edge")


def inspect(guest: Host, container: str) -> dict[str, Any]:
    """`docker inspect` of one container; the test fails with the engine's words where there is none."""
    done = guest.run(f"docker inspect {container}")
    assert done.rc == 0, (
        f"found: {done.stderr.strip()}; expected: container {container}; next step: make deploy"
    )
    found: dict[str, Any] = json.loads(done.stdout)[0]
    return found


@pytest.mark.parametrize("container", CONTAINERS)
def test_the_container_is_healthy(guest: Host, container: str) -> None:
    state = inspect(guest, container)["State"]
    assert state.get("Health", {}).get("Status") == "healthy", (
        f"found: {json.dumps(state, indent=1)[-1500:]}\nexpected: healthy\n"
        f"its last lines:\n{guest.run(f'docker logs --tail 20 {container} 2>&1').stdout}"
    )


@pytest.mark.parametrize("container", CONTAINERS)
def test_the_container_cannot_change_itself_or_the_host(guest: Host, container: str) -> None:
    document = inspect(guest, container)
    host_config = document["HostConfig"]
    assert host_config["ReadonlyRootfs"]
    assert host_config["CapDrop"] == ["ALL"]
    assert not host_config["Privileged"]
    assert document["Config"]["User"] not in ("", "0", "root")
    sources = [mount["Source"] for mount in document["Mounts"]]
    assert not [source for source in sources if "docker.sock" in source]


def test_the_containers_come_back_after_a_reboot(guest: Host) -> None:
    assert guest.service("docker").is_enabled
    for container in CONTAINERS:
        assert inspect(guest, container)["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"


@pytest.mark.parametrize("container", ["comfyui-qwen", "api"])
def test_what_stands_behind_the_edge_is_published_on_no_port_of_the_host(guest: Host, container: str) -> None:
    ports = inspect(guest, container)["NetworkSettings"]["Ports"]
    published = {port: places for port, places in ports.items() if places}
    assert not published, f"found: {published}; expected: none, the edge is the only way in"


def test_the_engine_listens_on_no_network_port(guest: Host) -> None:
    listening = guest.check_output("ss -Hltn").splitlines()
    places = [line.split()[3] for line in listening]
    assert not [place for place in places if place.rsplit(":", 1)[-1] in ("2375", "2376")], places


def test_the_edge_is_the_only_published_port(guest: Host, access: Access) -> None:
    published = guest.check_output("docker ps --format '{{.Names}} {{.Ports}}'").splitlines()
    ours = [line for line in published if line.split()[0] in CONTAINERS]
    open_ports = {
        part.split("->")[0].rsplit(":", 1)[-1] for line in ours for part in line.split() if "->" in part
    }
    assert open_ports == {str(access.deployed["edge_port"])}, ours
