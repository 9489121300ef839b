#!/usr/bin/python
"""Ansible module: the NVIDIA cards of a host, and the card of each service."""

from __future__ import annotations

DOCUMENTATION = r"""
module: nvidia_gpu_info
short_description: The NVIDIA cards of a host, and which of them each service is pinned to
description:
  - Asks nvidia-smi. Works in a WSL2 guest, where it stands outside the search path, and on native Linux.
  - Changes nothing. Fails with one message that says what was found, what was expected and what to do.
options:
  mode:
    description: Where the cards come from; C(auto) looks. C(cpu) asks nobody, and pins services to no card.
    type: str
    choices: [auto, wsl, native, cpu]
    default: auto
  nvidia_smi:
    description: Path of nvidia-smi; empty means the usual place of the mode.
    type: str
    default: ""
  timeout_seconds:
    description: How long nvidia-smi may take. It hangs on some broken drivers.
    type: int
    default: 30
  services:
    description:
      - Service name to wish, a mapping with C(name) (exact), optional C(uuid) or C(pci_bus_id) to tell
        cards of one name apart, and C(form), C(uuid) or C(index). C(runs), false for a service that is known
        and left off; C(variant) and C(vram_budget_mb), for what it takes of the card's memory.
    type: dict
    default: {}
  vram_budgets:
    description: Service to variant to MiB of the card's memory.
    type: dict
    default: {}
  vram_reserve_mb:
    description: MiB of each card that no service may have.
    type: int
    default: 0
  leave_out:
    description: Whether services without their card are left out, and told in C(left_out), instead of refused.
    type: bool
    default: false
author: ComfyStack
"""

EXAMPLES = r"""
- name: The card of the image service is known
  nvidia_gpu_info:
    services:
      comfyui-qwen: {name: NVIDIA GeForce RTX 3090}
  register: cards
"""

RETURN = r"""
mode:
  description: C(wsl) or C(native).
  type: str
  returned: success
gpus:
  description: Every card that answered, in order of the PCI bus.
  type: list
  elements: dict
  returned: success
lost:
  description: What nvidia-smi says about cards that did not answer.
  type: list
  elements: str
  returned: success
driver_version:
  description: Version of the driver, in WSL that of Windows.
  type: str
  returned: success
pins:
  description: Service to card, environment and device ids for its container.
  type: dict
  returned: success
left_out:
  description: Service to the reason why it has no card; empty unless C(leave_out).
  type: dict
  returned: success
plan:
  description: Each card that a service runs on, with its services, their budgets and what is left, in MiB.
  type: list
  elements: dict
  returned: success
"""

import dataclasses  # noqa: E402 - Ansible wants its documentation first
import shutil  # noqa: E402
import subprocess  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from ansible.module_utils import gpu_pins, gpu_plan, nvidia_smi  # type: ignore[import-untyped] # noqa: E402
from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped] # noqa: E402


def detect_mode(root: Path = Path("/")) -> str:
    """ "wsl", "native", or "" where nothing tells that the host has NVIDIA cards."""
    if (root / "dev/dxg").exists() or (root / "usr/lib/wsl/lib").is_dir():
        return "wsl"
    if (root / "dev/nvidiactl").exists() or (root / "proc/driver/nvidia").is_dir():
        return "native"
    release = root / "proc/sys/kernel/osrelease"
    if release.exists() and "microsoft" in release.read_text(encoding="utf-8").lower():
        return "wsl"
    return ""


def find_nvidia_smi(given: str, mode: str) -> str:
    """Path of the program; SmiFailure says where it was looked for."""
    # A login over SSH in WSL does not have /usr/lib/wsl/lib on its search path.
    places = (
        [given] if given else [nvidia_smi.WSL_NVIDIA_SMI, "nvidia-smi"] if mode == "wsl" else ["nvidia-smi"]
    )
    for place in places:
        found = shutil.which(place)
        if found:
            return found
    step = (
        "install NVIDIA's driver on Windows (never one inside the guest) and run `wsl --shutdown`"
        if mode == "wsl"
        else "install NVIDIA's driver"
    )
    raise nvidia_smi.SmiFailure(
        nvidia_smi.advice(f"no program at {' or '.join(places)}", "nvidia-smi of NVIDIA's driver", step)
    )


def ask(program: str, timeout: int, mode: str) -> nvidia_smi.Answer:
    """The answer of nvidia-smi, which is killed after `timeout` seconds; SmiFailure without one."""
    try:
        done = subprocess.run(
            nvidia_smi.query_command(program), capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise nvidia_smi.SmiFailure(nvidia_smi.timeout_sentence(timeout, mode)) from error
    except OSError as error:
        raise nvidia_smi.SmiFailure(
            nvidia_smi.advice(
                f"{program} does not start ({error})",
                "nvidia-smi of NVIDIA's driver",
                "install the driver again",
            )
        ) from error
    return nvidia_smi.read_query(done.stdout, done.stderr, done.returncode, mode)


def cards_of(wanted: dict[str, Any], mode: str) -> nvidia_smi.Answer:
    """The cards of this host; none are asked for in mode cpu. SmiFailure where there is no answer."""
    if mode == "cpu":
        return nvidia_smi.Answer((), ())
    return ask(find_nvidia_smi(wanted["nvidia_smi"], mode), wanted["timeout_seconds"], mode)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "mode": {"type": "str", "choices": ["auto", "wsl", "native", "cpu"], "default": "auto"},
            "nvidia_smi": {"type": "str", "default": ""},
            "timeout_seconds": {"type": "int", "default": 30},
            "services": {"type": "dict", "default": {}},
            "vram_budgets": {"type": "dict", "default": {}},
            "vram_reserve_mb": {"type": "int", "default": 0},
            "leave_out": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    wanted = module.params
    mode = detect_mode() if wanted["mode"] == "auto" else wanted["mode"]
    if not mode:
        module.fail_json(
            msg=nvidia_smi.advice(
                "neither /dev/dxg nor /usr/lib/wsl/lib nor /dev/nvidiactl",
                "the NVIDIA driver of Windows (in a WSL2 guest) or of this Linux",
                "install it, in WSL on the Windows side, or say which mode it is",
            )
        )
    try:
        answer = cards_of(wanted, mode)
        gpus = [dataclasses.asdict(gpu) for gpu in answer.gpus]
        asked = (wanted["services"], answer.gpus, answer.lost, mode)
        if wanted["leave_out"]:
            pins, left_out = gpu_pins.resolve_some(*asked)
        else:
            pins, left_out = gpu_pins.resolve(*asked), {}
        budgets, reserve = wanted["vram_budgets"], wanted["vram_reserve_mb"]
        plan = gpu_plan.plan(wanted["services"], pins, gpus, budgets, reserve)
    except (nvidia_smi.SmiFailure, gpu_pins.PinError, gpu_plan.PlanError) as error:
        module.fail_json(msg=str(error), mode=mode)
    module.exit_json(
        changed=False,
        mode=mode,
        gpus=gpus,
        lost=list(answer.lost),
        driver_version=answer.gpus[0].driver_version if answer.gpus else None,
        pins=pins,
        left_out=left_out,
        plan=plan,
    )


if __name__ == "__main__":
    main()
