"""The service runs on the card it is pinned to, whatever the order in which anything numbers the cards."""

from __future__ import annotations

import json
from typing import Any

import pytest
from comfystack import ComfyClient
from testinfra.host import Host

from . import gpu_rows
from .conftest import Access
from .test_services import inspect

SERVICE = "comfyui-qwen"
# Asked of torch itself, because an index in any configuration file proves nothing.
ASK_TORCH = """
import json, torch
try:
    card = torch.cuda.get_device_properties(0)
    found = {"name": card.name, "uuid": str(card.uuid), "memory": card.total_memory}
    print(json.dumps({**found, "count": torch.cuda.device_count()}))
except Exception as error:
    print(json.dumps({"error": str(error)}))
"""
# nvidia-smi hangs on some broken drivers.
SECONDS = 30


@pytest.fixture(scope="module")
def pin(access: Access) -> dict[str, Any]:
    found: dict[str, Any] = access.deployed["pins"][SERVICE]
    if found["mode"] == "cpu":
        pytest.skip("not checked here: gpu_pin_mode is cpu, this site computes without a card")
    return found


@pytest.fixture(scope="module")
def cards(guest: Host, pin: dict[str, Any]) -> list[Any]:
    """The host's cards now, or the failure that nvidia-smi reports."""
    program = gpu_rows.nvidia_smi.WSL_NVIDIA_SMI if pin["mode"] == "wsl" else "nvidia-smi"
    words = " ".join(gpu_rows.nvidia_smi.query_command(program))
    done = guest.run(f"timeout --kill-after=5 {SECONDS} {words}")
    if done.rc in (124, 137):
        pytest.fail(gpu_rows.nvidia_smi.timeout_sentence(SECONDS, pin["mode"]))
    gpus, wrong = gpu_rows.cards(done.stdout, done.stderr, done.rc, pin["mode"])
    if wrong:
        pytest.fail("\n".join(wrong))
    return gpus


def nothing_is_wrong(found: list[str]) -> None:
    """Fails with the sentences alone: a traceback would say nothing more."""
    if found:
        pytest.fail("\n".join(found), pytrace=False)


def test_the_host_still_has_the_pinned_card_under_its_name(cards: list[Any], pin: dict[str, Any]) -> None:
    nothing_is_wrong(gpu_rows.host(cards, pin))


def test_the_container_selects_its_card_as_the_deployment_derived_it(
    guest: Host, cards: list[Any], pin: dict[str, Any]
) -> None:
    nothing_is_wrong(gpu_rows.configuration(inspect(guest, SERVICE), cards, pin))


def test_torch_device_0_inside_the_container_is_the_pinned_card(guest: Host, pin: dict[str, Any]) -> None:
    done = guest.run(f"docker exec {SERVICE} python -c '{ASK_TORCH}'")
    if done.rc != 0:
        # A container that ended at its start cannot be asked; the check of its start has said why, in three lines.
        said = guest.run(f"docker logs --tail 3 {SERVICE} 2>&1").stdout.strip()
        answer = (done.stdout + done.stderr).strip()
        pytest.fail(f"found: {answer}\nexpected: torch's device 0\nits last lines:\n{said}", pytrace=False)
    nothing_is_wrong(gpu_rows.torch(json.loads(done.stdout.splitlines()[-1]), pin))


def test_comfyui_itself_says_it_computes_on_the_pinned_card(client: ComfyClient, pin: dict[str, Any]) -> None:
    nothing_is_wrong(gpu_rows.comfyui(client.system_stats()["devices"], pin))
