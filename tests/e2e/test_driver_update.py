"""Every way in which a driver update goes: broken before, repaired or refused with the reason, nothing to do after."""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lab.names import PUBLIC_NAME

from .by_hand import edit_comfyui, turns_red
from .jobs import answer, ask, ended_well, queued, submit, tokens
from .running import REPORTS, Done
from .site import Lab

PLAYBOOK = "ansible/driver_update.yml"
SPECIFICATION = "/etc/cdi/nvidia.yaml"
# Every file of the host that the device specification hands into containers, where it does not exist.
MISSING_FILES = (
    "import json, pathlib; document = json.load(open('/etc/cdi/nvidia.yaml'));"
    "print([m['hostPath'] for m in document['containerEdits']['mounts'] if not pathlib.Path(m['hostPath']).exists()])"
)
OTHER = "NVIDIA GeForce RTX 3080"
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


def said_until_now(title: str) -> str:
    """The log of a command that may still run."""
    return "".join(log.read_text() for log in REPORTS.glob(f"*-{title}.log"))


def is_broken(lab: Lab, title: str, which: str, *words: str) -> None:
    """Verify is red, and says why."""
    done = lab.verify(f"{title}-seen", which)
    assert done.code == 1, done
    missing = [word for word in words if word not in done.output]
    assert not missing, f"verify is red, but says nothing of {missing}: {done}"


def is_refused(done: Done, *words: str) -> None:
    assert done.code == 2, done
    says(done, *words)


def changes(done: Done, task: str) -> int:
    """How many hosts a task of that name has changed."""
    parts = re.split(r"^TASK \[", done.output, flags=re.MULTILINE)
    return sum(part.count("\nchanged: ") for part in parts if task in part.partition("]")[0])


def visitor(lab: Lab, name: str) -> tuple[str, int, str]:
    """(issuer of the certificate, status, body) that somebody without a token gets at a public name."""
    host, _, port = lab.access["connect_to"][name].rpartition(":")
    context = ssl.create_default_context(cafile=lab.access["ca_file"])
    with socket.create_connection((host, int(port)), timeout=30) as raw:
        connection = http.client.HTTPConnection(name, timeout=30)
        connection.sock = secured = context.wrap_socket(raw, server_hostname=name)
        connection.request("GET", "/system_stats")
        got = connection.getresponse()
        return str(secured.getpeercert()), got.status, got.read().decode()


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


def test_one_deployment_has_made_of_empty_machines_what_a_second_finds_as_it_is(
    lab: Lab, deployed: Done
) -> None:
    """This lab's Windows came from the shelf: no WSL, no guest, no IIS; the guest had no services."""
    assert changes(deployed, "The distribution exists") == 1, deployed
    for name in lab.access["names"]:
        issuer, status, body = visitor(lab, name)
        assert "Pebble" in issuer, "a certificate by ACME"
        assert (status, name in body) == ((401, False) if name == PUBLIC_NAME else (503, True)), body
    again = lab.play("deploy-again").ended_well()
    assert again.changed() == NOTHING, again


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
    ended_well(lab, jobs[1][0])
    assert guest_address(lab, "renumbered-after") != before
    has_nothing_to_do(lab, "renumbered")
    lab.verify("renumbered-verified", "gpu or token_opens or websocket").ended_well()


def test_a_hand_on_the_pin_after_the_cards_were_renumbered_is_seen_also_where_it_works(lab: Lab) -> None:
    """Number 1 was the pinned card until the update before this, and is nvidia-smi's number of the other one now."""
    edit_comfyui(
        lab,
        "pin-of-before",
        '/container_name:/a \\    entrypoint: ["/usr/bin/tini", "--", "python", "main.py"]',
        's/"CUDA_DEVICE_ORDER": "[^"]*", //',
        's/"CUDA_VISIBLE_DEVICES": "[^"]*"/"CUDA_VISIBLE_DEVICES": "1"/',
        "s/- --listen=0.0.0.0/- --listen=0.0.0.0\\n      - --cuda-device\\n      - '1'/",
    )
    done = lab.verify("pin-of-before-seen", "gpu")
    turns_red(done, "ComfyUI runs with --cuda-device", "CUDA_DEVICE_ORDER is not set")
    turns_red(done, f"CUDA_VISIBLE_DEVICES=1, a number that no deployment wrote; by PCI bus that is {OTHER}")
    turns_red(done, f"ComfyUI computes on {OTHER}; expected: NVIDIA GeForce RTX 3090")
    edit_comfyui(
        lab,
        "pin-that-works",
        "/entrypoint: /d",
        "/- --cuda-device$/,+1d",
        's/"CUDA_VISIBLE_DEVICES": "1"/"CUDA_VISIBLE_DEVICES": "0"/',
    )
    done = lab.verify("pin-that-works-seen", "gpu or healthy")
    turns_red(done, "CUDA_DEVICE_ORDER is not set", "1 failed")


def test_what_is_queued_has_until_the_deadline_and_the_rest_is_somebodys_again(lab: Lab) -> None:
    """ComfyUI works, with the hand's pin of the test before: it is asked to end, and not found dead."""
    anna, ben = (tokens(lab, "create", f"e2e-{name}")["token"] for name in ("anna", "ben"))
    weights = "/srv/models/diffusion_models"
    lab.guest("weights-come", f"cp {weights}/qwen_image_fp8_e4m3fn.safetensors {weights}/going.safetensors")
    first = submit(lab, 10_000, "anna", anna)
    second = submit(lab, 4, "ben", ben)
    third = submit(lab, 10_000, "ben", ben)
    going = submit(lab, 4, "anna", anna, unet_name="going.safetensors")
    last = submit(lab, 4, "anna", anna)
    lab.guest("weights-go", f"rm {weights}/going.safetensors")
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(updated, lab, "deadline", "-e", "comfyui_service_drain_seconds=20")
        while "The queue is empty, or the deadline is reached" not in said_until_now("deadline"):
            assert not running.done(), running.result()
            time.sleep(0.2)
        ask(lab, "POST", "/interrupt", {"prompt_id": first}, anna)
        ended_well(lab, second)
        done = running.result().ended_well()
    says(done, "comfyui-qwen has CUDA_DEVICE_ORDER=None, and the cards of today ask for PCI_BUS_ID")
    over = [job for job in (first, second) if job in done.output]
    assert not over, f"{over} had ended by the deadline: {done}"
    says(done, f"kept: {third} (client ben)", f"kept: {going} (client anna)", f"kept: {last} (client anna)")
    says(done, f"submitted again: {third} (client ben)", f"submitted again: {last} (client anna)")
    says(done, f"refused, and still in /opt/comfystack/comfyui-qwen/queue.json: {going} (client anna)")
    says(done, "going.safetensors")
    assert queued(lab) == [(third, "ben"), (last, "anna")]
    # Whose they are outlives it, too.
    assert answer(lab, "POST", "/interrupt", {"prompt_id": third}, anna)[0] == 403
    assert answer(lab, "POST", "/queue", {"delete": [last]}, ben)[0] == 403
    ask(lab, "POST", "/interrupt", {"prompt_id": third}, ben)
    ended_well(lab, last)
    again = updated(lab, "deadline-again").ended_well()
    assert again.changed() == NOTHING, again
    says(
        again,
        "nothing has changed",
        f"refused, and still in /opt/comfystack/comfyui-qwen/queue.json: {going}",
    )
    lab.guest("refused-forgotten", "rm /opt/comfystack/comfyui-qwen/queue.json")
    lab.verify("deadline-verified", "gpu").ended_well()


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
    is_broken(lab, "found", "host_still_has", "Driver/library version mismatch")
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
