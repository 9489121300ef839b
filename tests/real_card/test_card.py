"""What the lab acts out, asked of a real NVIDIA card: nvidia-smi's answers, the pin, the check of a container's start.

`make real-card`, on Linux with a card and a torch that uses it; TORCH_PYTHON is the Python that has this torch. Not
part of `make test`: the lab's driver is a stand-in.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid as uuids
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.own_modules import PLUGINS, load, module_utils

ROOT = Path(__file__).resolve().parents[2]
START = ROOT / "comfyui" / "image" / "start.py"
TORCH_PYTHON = os.environ.get("TORCH_PYTHON") or sys.executable
nvidia_smi: ModuleType = module_utils("nvidia_smi")
gpu_pins: ModuleType = module_utils("gpu_pins")
start: ModuleType = load("comfyui_image_start", START)

Gpu = Any


def smi(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["nvidia-smi", *arguments], capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="session")
def cards() -> list[Gpu]:
    """As every part of the project reads them."""
    done = subprocess.run(nvidia_smi.query_command("nvidia-smi"), capture_output=True, text=True, timeout=60)
    return list(nvidia_smi.read_query(done.stdout, done.stderr, done.returncode, "native").gpus)


def asked_of_ansible(**arguments: Any) -> dict[str, Any]:
    """The answer of module nvidia_gpu_info, run by Ansible on this machine."""
    program = Path(sys.executable).with_name("ansible")
    ansible = [str(program)] if program.exists() else [sys.executable, "-m", "ansible.cli.adhoc"]
    command = [*ansible, "localhost", "-c", "local", "-i", "localhost,", "-m", "nvidia_gpu_info"]
    command += ["-a", json.dumps(arguments), "-e", f"ansible_python_interpreter={sys.executable}"]
    paths = {
        "ANSIBLE_LIBRARY": str(PLUGINS / "modules"),
        "ANSIBLE_MODULE_UTILS": str(PLUGINS / "module_utils"),
    }
    done = subprocess.run(command, env={**os.environ, **paths}, capture_output=True, text=True, timeout=120)
    assert "=>" in done.stdout, done
    answer: dict[str, Any] = json.loads(done.stdout.partition("=>")[2])
    return answer


def pin(cards: list[Gpu], card: Gpu, mode: str, form: str = "uuid") -> dict[str, str]:
    """The environment of a container that is pinned to this card."""
    wish = {"name": card.name, "uuid": card.uuid, "form": form}
    found: dict[str, str] = gpu_pins.resolve({"it": wish}, tuple(cards), (), mode)["it"]["environment"]
    return found


def started(folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """The image's first process with the real torch, before a ComfyUI that only says that it was started."""
    (folder / "main.py").write_text("print('started')")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("CUDA_", "COMFYSTACK_"))}
    return subprocess.run(
        [TORCH_PYTHON, str(START)], cwd=folder, env={**kept, **environment}, capture_output=True, text=True
    )


class TestWhatNvidiaSmiSays:
    def test_every_card_is_read_with_all_that_identifies_it(self, cards: list[Gpu]) -> None:
        listed = [line for line in smi("-L").stdout.splitlines() if line.startswith("GPU ")]
        assert [f"GPU {card.index}: {card.name} (UUID: {card.uuid})" for card in cards] == listed
        for card in cards:
            assert uuids.UUID(card.uuid.removeprefix("GPU-"))
            assert card.memory_mib > 1000
            assert card.driver_version.replace(".", "").isdigit()
            assert float(card.compute_capability) >= 5

    def test_a_field_that_it_does_not_know_is_told_as_an_old_driver(self) -> None:
        done = smi("--query-gpu=index,comfystack", "--format=csv")
        with pytest.raises(nvidia_smi.SmiFailure, match="driver is too old"):
            nvidia_smi.read_query(done.stdout, done.stderr, done.returncode, "native")

    def test_a_card_that_is_not_there_is_no_answer(self) -> None:
        done = smi("-i", "77", "--query-gpu=index,name", "--format=csv")
        with pytest.raises(nvidia_smi.SmiFailure, match="No devices were found"):
            nvidia_smi.read_query(done.stdout, done.stderr, done.returncode, "native")


class TestThePinThatAnsibleResolves:
    def test_the_exact_name_is_this_uuid(self, cards: list[Gpu]) -> None:
        card = cards[-1]
        answer = asked_of_ansible(services={"it": {"name": card.name, "uuid": card.uuid}})
        assert (answer["mode"], answer["changed"]) == ("native", False)
        found = answer["pins"]["it"]
        assert (found["uuid"], found["device_ids"]) == (card.uuid, [card.uuid])
        assert answer["driver_version"] == card.driver_version

    def test_a_name_with_ti_behind_it_is_refused_with_what_is_there(self, cards: list[Gpu]) -> None:
        answer = asked_of_ansible(services={"it": {"name": f"{cards[0].name} Ti"}})
        assert "pins" not in answer
        assert cards[0].uuid in answer["msg"]
        assert "expected: exactly one" in answer["msg"]


class TestTheCheckOfAContainersStart:
    """`wsl` here is the pin's form only: all cards to be seen, and CUDA_VISIBLE_DEVICES selects."""

    @pytest.mark.parametrize("form", ["uuid", "index"])
    @pytest.mark.parametrize("mode", ["wsl", "native"])
    def test_on_its_card_comfyui_starts(self, cards: list[Gpu], tmp_path: Path, mode: str, form: str) -> None:
        if (mode, form) == ("native", "index") and len(cards) > 1:
            pytest.skip("0 is the pinned card only in a container that was given this card alone")
        for card in cards:
            done = started(tmp_path, pin(cards, card, mode, form))
            assert (done.returncode, done.stdout) == (0, "started\n"), done

    def test_torch_names_the_same_uuid_and_nearly_all_of_the_memory(self, cards: list[Gpu]) -> None:
        for card in cards:
            asked = {**os.environ, "CUDA_VISIBLE_DEVICES": card.uuid, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
            done = subprocess.run(
                [TORCH_PYTHON, "-c", start.ASK], env=asked, capture_output=True, text=True, check=True
            )
            answer = json.loads(done.stdout)
            assert (answer["name"], f"GPU-{answer['uuid']}") == (card.name, card.uuid)
            assert start.LEAST_MEMORY < answer["memory"] / start.MIB / card.memory_mib <= 1
            print(json.dumps(answer))

    def test_another_card_than_the_pinned_one_is_refused_with_both(
        self, cards: list[Gpu], tmp_path: Path
    ) -> None:
        other = f"GPU-{uuids.UUID(int=1)}"
        done = started(tmp_path, {**pin(cards, cards[0], "wsl"), "COMFYSTACK_GPU_UUID": other})
        assert (done.returncode, done.stdout) == (start.REFUSED, ""), done
        assert f"found: CUDA device 0 is {cards[0].name} ({cards[0].uuid.removeprefix('GPU-')}" in done.stderr
        assert f"expected: {cards[0].name} ({other})" in done.stderr

    def test_a_ti_of_the_same_memory_is_refused_where_no_uuid_is_told(
        self, cards: list[Gpu], tmp_path: Path
    ) -> None:
        pinned = {**pin(cards, cards[0], "wsl"), "COMFYSTACK_GPU_UUID": ""}
        assert started(tmp_path, pinned).returncode == 0
        done = started(tmp_path, {**pinned, "COMFYSTACK_GPU_NAME": f"{cards[0].name} Ti"})
        assert done.returncode == start.REFUSED

    @pytest.mark.parametrize("selected", [f"GPU-{uuids.UUID(int=1)}", "", "77", "0,0", "twice"])
    def test_a_selection_of_no_card_is_refused_and_never_the_processor(
        self, cards: list[Gpu], tmp_path: Path, selected: str
    ) -> None:
        """The words of torch, which the lab's torch says as well."""
        words = "No CUDA GPUs are available"
        if selected in ("0,0", "twice"):
            words = "Error 101: invalid device ordinal"
        selected = selected.replace("twice", f"{cards[0].uuid},{cards[0].uuid}")
        done = started(tmp_path, {**pin(cards, cards[0], "wsl"), "CUDA_VISIBLE_DEVICES": selected})
        assert (done.returncode, done.stdout) == (start.REFUSED, ""), done
        assert "has no card: " in done.stderr
        assert words in done.stderr, done.stderr
        assert f"expected: {cards[0].name} ({cards[0].uuid})" in done.stderr


@pytest.fixture(scope="session", autouse=True)
def card_and_torch() -> None:
    """Both are what this folder is about; without them it says what it wants."""
    if not shutil.which("nvidia-smi"):
        pytest.fail(
            "found: no nvidia-smi\nexpected: a machine with an NVIDIA card\nnext step: make test", False
        )
    done = subprocess.run([TORCH_PYTHON, "-c", "import torch"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.fail(
            f"found: {TORCH_PYTHON} has no torch\nexpected: one that computes on this card\n"
            "next step: make real-card TORCH_PYTHON=<the Python that has it>",
            False,
        )
