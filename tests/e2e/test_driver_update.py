"""Every way in which a driver update goes: broken before, repaired or refused with the reason, nothing to do after."""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.lab.names import PUBLIC_NAME, ROOT

from .running import Done
from .site import Lab

PLAYBOOK = "ansible/driver_update.yml"
SPECIFICATION = "/etc/cdi/nvidia.yaml"
TEXT_TO_IMAGE = ROOT / "comfyui" / "workflows" / "text-to-image.api.json"
# Every file of the host that the device specification hands into containers, where it does not exist.
MISSING_FILES = (
    "import json, pathlib; document = json.load(open('/etc/cdi/nvidia.yaml'));"
    "print([m['hostPath'] for m in document['containerEdits']['mounts'] if not pathlib.Path(m['hostPath']).exists()])"
)
NOTHING = {"gpu-host": 0, "windows-host": 0}

pytestmark = pytest.mark.usefixtures("deployed")


def updated(lab: Lab, title: str, *more: str) -> Done:
    return lab.playbook(title, PLAYBOOK, "-e", "gpu_pin_nvidia_smi_seconds=5", *more)


def has_nothing_to_do(lab: Lab, title: str) -> None:
    again = updated(lab, f"{title}-again").ended_well()
    assert again.changed() == NOTHING, again
    says(again, "nothing has changed")


def says(done: Done, *words: str) -> None:
    # Ansible breaks long lines of a message.
    said = " ".join(done.output.split())
    missing = [word for word in words if word not in said]
    assert not missing, f"it says nothing of {missing}: {done}"


def is_broken(lab: Lab, title: str, which: str, *words: str) -> None:
    """Verify is red, and says why."""
    done = lab.verify(f"{title}-seen", which)
    assert done.code == 1, done
    missing = [word for word in words if word not in done.output]
    assert not missing, f"verify is red, but says nothing of {missing}: {done}"


def is_refused(done: Done, *words: str) -> None:
    assert done.code == 2, done
    says(done, *words)


def ask(lab: Lab, method: str, path: str, body: Any = None) -> Any:
    """What the service answers through its public name, with the token."""
    host, _, port = lab.access["connect_to"][PUBLIC_NAME].rpartition(":")
    token = Path(lab.access["token_file"]).read_text().strip()
    context = ssl.create_default_context(cafile=lab.access["ca_file"])
    with socket.create_connection((host, int(port)), timeout=30) as raw:
        connection = http.client.HTTPConnection(PUBLIC_NAME, timeout=30)
        connection.sock = context.wrap_socket(raw, server_hostname=PUBLIC_NAME)
        connection.request(method, path, json.dumps(body), {"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == 200, text
        return json.loads(text) if text else None


def submit(lab: Lab, steps: int, client: str) -> str:
    """Queues a job of that many steps, each a twentieth of a second; its id."""
    graph = json.loads(TEXT_TO_IMAGE.read_text())
    graph["sampler"]["inputs"]["steps"] = steps
    prompt_id = str(uuid.uuid4())
    ask(lab, "POST", "/prompt", {"prompt": graph, "prompt_id": prompt_id, "client_id": client})
    return prompt_id


def queued(lab: Lab) -> list[tuple[str, str]]:
    """(id, client) of each job that runs or waits, in order."""
    queue = ask(lab, "GET", "/queue")
    jobs = [*queue["queue_running"], *sorted(queue["queue_pending"])]
    return [(job[1], job[3]["client_id"]) for job in jobs]


def guest_address(lab: Lab, title: str) -> str:
    shown = lab.windows(
        f"{title}-address",
        "ansible.windows.win_powershell",
        path="roles/wsl_host/files/Get-WslGuest.ps1",
        error_action="stop",
        parameters={"Distribution": "Ubuntu"},
    )
    found = re.search(r"address: (\S+)", shown.output)
    assert found, shown
    return found[1]


def test_where_nothing_has_changed_nothing_is_done(lab: Lab) -> None:
    first = updated(lab, "no-update").ended_well()
    # The note of the driver, which no run has made before.
    assert first.changed() == {"gpu-host": 1, "windows-host": 0}, first
    has_nothing_to_do(lab, "no-update")


def test_renumbered_cards_and_a_driver_that_the_guest_has_not_noticed(lab: Lab) -> None:
    """Jobs that are not done by the deadline come back under their ids, in their order, and are still somebody's."""
    before = guest_address(lab, "renumbered")
    jobs = [(submit(lab, 10_000, "anna"), "anna"), (submit(lab, 4, "ben"), "ben")]
    done = updated(lab, "drained", "-e", "comfyui_service_drain_seconds=1", "--check").ended_well()
    says(done, "nothing has changed")
    assert queued(lab) == jobs
    lab.make(
        "renumbered", "lab-driver-update", RENUMBER="1", FAULT="unnoticed", VERSION="581.29"
    ).ended_well()
    is_broken(lab, "renumbered", "torch_device", "torch has no card in the container")
    done = updated(lab, "renumbered", "-e", "comfyui_service_drain_seconds=1").ended_well()
    says(done, "Windows has driver 581.29, and the guest still 580.97")
    says(
        done,
        *(f"{what}: {job} (client {client})" for job, client in jobs for what in ("kept", "submitted again")),
    )
    assert queued(lab) == jobs
    # What runs for minutes is not waited for.
    ask(lab, "POST", "/interrupt", {"prompt_id": jobs[0][0]})
    deadline = time.monotonic() + 120
    while not (result := ask(lab, "GET", f"/history/{jobs[1][0]}")):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert result[jobs[1][0]]["status"]["status_str"] == "success"
    assert guest_address(lab, "renumbered-after") != before
    has_nothing_to_do(lab, "renumbered")
    lab.verify("renumbered-verified", "gpu or token_opens or websocket").ended_well()


def test_a_version_mismatch_and_a_card_that_is_gone(lab: Lab) -> None:
    """Its service stays down and says why, its jobs are kept; the edge is up again."""
    job = submit(lab, 10_000, "carl")
    lab.make("dropped", "lab-driver-update", DROP="3090").ended_well()
    is_broken(lab, "dropped", "host_still_has", "Driver/library version mismatch")
    done = updated(lab, "dropped")
    is_refused(done, "no card matches 'NVIDIA GeForce RTX 3090'", "expected: a card for each service")
    says(done, f"kept: {job} (client carl)")
    assert sorted(lab.guest("dropped-containers", "docker ps --format '{{.Names}}'").split()) == [
        "api",
        "edge",
    ]
    is_broken(lab, "dropped-after", "host_still_has", "this host has NVIDIA GeForce RTX 3080")
    again = updated(lab, "dropped-again")
    is_refused(again, "expected: a card for each service")
    assert again.changed() == NOTHING, again


def test_a_driver_without_a_card(lab: Lab) -> None:
    lab.make("no-devices", "lab-driver-update", FAULT="no_devices").ended_well()
    is_broken(lab, "no-devices", "host_still_has", "No devices were found")
    is_refused(
        updated(lab, "no-devices"),
        "found: after a fresh start of WSL, nvidia-smi says 'No devices were found'",
        "Until then the services are down, and their jobs are kept",
    )


def test_an_nvidia_smi_that_hangs(lab: Lab) -> None:
    """A fresh start of WSL mends it; the job that was kept all the while is there again."""
    (kept,) = json.loads(lab.guest("kept", "cat /opt/comfystack/comfyui-qwen/queue.json"))["jobs"]
    lab.make("hanging", "lab-driver-update", FAULT="hang").ended_well()
    is_broken(lab, "hanging", "host_still_has", "nvidia-smi gave no answer within")
    done = updated(lab, "hanging").ended_well()
    says(done, "nvidia-smi gave no answer within 5 s")
    assert queued(lab) == [(kept["prompt_id"], "carl")]
    ask(lab, "POST", "/interrupt", {"prompt_id": kept["prompt_id"]})
    has_nothing_to_do(lab, "hanging")


def test_a_card_that_fell_off_the_bus(lab: Lab) -> None:
    """Windows shows the failure too, so that WSL is not restarted for nothing; another driver brings the card back."""
    lab.make("lost", "lab-driver-update", FAULT="gpu_lost:3090").ended_well()
    is_broken(lab, "lost", "host_still_has", "this host has NVIDIA GeForce RTX 3080")
    done = updated(lab, "lost")
    is_refused(done, "GPU is lost", "expected: a card for each service")
    assert done.changed()["windows-host"] == 0, done
    lab.make("found", "lab-driver-update").ended_well()
    updated(lab, "found").ended_well()
    has_nothing_to_do(lab, "found")


def test_a_stale_device_specification(lab: Lab) -> None:
    """Somebody has put back an old one: nothing is restarted for it."""
    stale = f"sed -i 's/nv_dispi.inf_amd64_[0-9a-f]*/nv_dispi.inf_amd64_0123456789abcdef/' {SPECIFICATION}"
    lab.guest("stale", stale)
    assert "0123456789abcdef" in lab.guest("stale-seen", f'python3 -c "{MISSING_FILES}"')
    started = "docker inspect -f '{{.State.StartedAt}}' comfyui-qwen edge"
    before = lab.guest("stale-started", started)
    updated(lab, "stale").ended_well()
    assert lab.guest("fresh-seen", f'python3 -c "{MISSING_FILES}"').strip() == "[]"
    assert lab.guest("fresh-started", started) == before
    has_nothing_to_do(lab, "stale")
