"""A container serves on the card it was pinned to, or ends with found, expected and next step."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lab.gpu.cards import Card, Fault, Inventory
from tests.lab.names import ROOT
from tests.own_modules import load

from .conftest import gpu_pins, nvidia_smi
from .hosts import lay

START = ROOT / "comfyui" / "image" / "start.py"
TREE = ROOT / "tests" / "lab" / "comfyui"
start: ModuleType = load("comfyui_image_start", START)
health: ModuleType = load("comfyui_image_healthcheck", START.with_name("healthcheck.py"))
RTX_3090 = "NVIDIA GeForce RTX 3090"
RTX_3080 = "NVIDIA GeForce RTX 3080"
UUID = "GPU-e47b2d90-35c8-4f16-8a0e-c92f61d3b7a4"
ANSWER = {
    "torch": "2.11.0",
    "cuda": "13.0",
    "name": RTX_3090,
    "uuid": UUID.removeprefix("GPU-"),
    "memory": 24575 * 2**20,
}
PIN = {
    "COMFYSTACK_GPU_NAME": RTX_3090,
    "COMFYSTACK_GPU_UUID": UUID,
    "COMFYSTACK_GPU_MEMORY_MIB": "24576",
    "CUDA_VISIBLE_DEVICES": UUID,
    "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A ComfyUI with the simulator's torch, whose main.py says that it was started, and with what."""
    folder = tmp_path / "comfyui"
    folder.mkdir()
    for name in ("torch", "comfysim"):
        (folder / name).symlink_to(TREE / name)
    (folder / "main.py").write_text("import sys; print('started', *sys.argv[1:])")
    return folder


def pinned(inventory: Inventory, name: str = RTX_3090, **wish: str) -> dict[str, str]:
    """The environment of a container with a pin to the card of that name, as a deployment derives it."""
    gpus = tuple(
        nvidia_smi.Gpu(card.index, card.name, card.uuid, card.pci_bus_id, card.memory_mib, "580.97", "8.6")
        for card in inventory.cards
    )
    pin = gpu_pins.resolve({"it": {"name": name, **wish}}, gpus, (), inventory.mode)["it"]
    found: dict[str, str] = pin["environment"]
    return found


def run(
    tree: Path, host: Path, environment: dict[str, str], *options: str
) -> subprocess.CompletedProcess[str]:
    """The image's first process, as in a container of that host."""
    bare = {"PATH": os.environ["PATH"], "COMFYSIM_ROOT": str(host), **environment}
    command = [sys.executable, str(START), *options]
    return subprocess.run(command, cwd=tree, env=bare, capture_output=True, text=True, check=False)


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert (done.returncode, done.stdout) == (start.REFUSED, ""), done
    lines = [line.partition(": ")[0] for line in done.stderr.splitlines()]
    assert lines == ["found", "expected", "next step"], done.stderr
    assert not [word for word in words if word not in done.stderr], done.stderr


@pytest.mark.parametrize("form", ["uuid", "index"])
@pytest.mark.parametrize("name", [RTX_3090, RTX_3080])
def test_on_its_card_comfyui_starts_with_its_options(
    tree: Path, wsl: Path, inventory: Inventory, name: str, form: str
) -> None:
    done = run(tree, wsl, pinned(inventory, name, form=form), "--port", "8188")
    assert (done.returncode, done.stdout) == (0, "started --port 8188\n"), done.stderr


def test_the_other_cards_uuid_is_refused_with_both_cards(tree: Path, wsl: Path, inventory: Inventory) -> None:
    other = pinned(inventory, RTX_3080)["CUDA_VISIBLE_DEVICES"]
    done = run(tree, wsl, {**pinned(inventory), "CUDA_VISIBLE_DEVICES": other})
    refused(done, f"found: CUDA device 0 is {RTX_3080} (", f"expected: {RTX_3090} ({UUID})")


def test_a_derived_index_without_its_order_counts_by_speed(
    tree: Path, wsl: Path, inventory: Inventory
) -> None:
    environment = pinned(inventory, form="index")
    del environment["CUDA_DEVICE_ORDER"]
    refused(
        run(tree, wsl, environment), "CUDA_VISIBLE_DEVICES=1 and no CUDA_DEVICE_ORDER", f"is {RTX_3080} ("
    )


def renumbered(inventory: Inventory) -> Inventory:
    """The two cards have changed places."""
    first, second = inventory.cards
    places: list[Card] = [
        dataclasses.replace(second, index=0, pci_bus_id=first.pci_bus_id),
        dataclasses.replace(first, index=1, pci_bus_id=second.pci_bus_id),
    ]
    return dataclasses.replace(inventory, cards=tuple(places))


def test_when_the_cards_were_renumbered_an_index_is_refused_and_a_uuid_holds(
    tree: Path, inventory: Inventory, tmp_path: Path
) -> None:
    host = lay(renumbered(inventory), tmp_path / "host")
    refused(
        run(tree, host, pinned(inventory, form="index")), f"is {RTX_3080} (", f"expected: {RTX_3090} ({UUID})"
    )
    assert run(tree, host, pinned(inventory)).stdout == "started\n"


@pytest.mark.parametrize(
    ("selected", "words"),
    [
        ("GPU-00000000-0000-0000-0000-000000000001", "No CUDA GPUs are available"),
        ("", "No CUDA GPUs are available"),
        ("77", "No CUDA GPUs are available"),
        ("0,0", "101: invalid device ordinal"),
        (f"{UUID},{UUID}", "101: invalid device ordinal"),
    ],
)
def test_a_selection_of_no_card_is_told_in_torchs_words(
    tree: Path, wsl: Path, inventory: Inventory, selected: str, words: str
) -> None:
    """The words are those of torch 2.11.0 on a real card: tests/real_card asks one for them."""
    done = run(tree, wsl, {**pinned(inventory), "CUDA_VISIBLE_DEVICES": selected})
    refused(done, "found: torch ", "has no card: ", words, RTX_3090)


def test_a_card_that_is_lost_is_told(tree: Path, inventory: Inventory, tmp_path: Path) -> None:
    host = lay(dataclasses.replace(inventory, fault=Fault("gpu_lost", 1)), tmp_path / "host")
    refused(run(tree, host, pinned(inventory)), "has no card: No CUDA GPUs are available", RTX_3090)


def test_a_container_without_a_driver_does_not_fall_back_to_the_processor(
    tree: Path, inventory: Inventory, tmp_path: Path
) -> None:
    refused(run(tree, tmp_path, pinned(inventory)), "has no card: Found no NVIDIA driver", RTX_3090)


def test_a_driver_that_hangs_is_given_up(
    tree: Path, inventory: Inventory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree)
    monkeypatch.setattr(start, "SECONDS", 1)
    host = lay(dataclasses.replace(inventory, fault=Fault("hang")), tmp_path / "host")
    monkeypatch.setenv("COMFYSIM_ROOT", str(host))
    assert "found: torch gave no answer within 1 s" in start.refusal([], pinned(inventory))


def test_a_torch_that_cannot_be_imported_is_told(tmp_path: Path, inventory: Inventory) -> None:
    broken = tmp_path / "comfyui"
    broken.mkdir()
    (broken / "torch.py").write_text("raise ImportError('libcudart.so.13: cannot open shared object file')")
    done = run(broken, tmp_path, pinned(inventory))
    assert done.returncode == start.REFUSED
    assert "libcudart.so.13" in done.stderr


@pytest.mark.parametrize("options", [("--cuda-device", "1"), ("--cuda-device=1",), ("--default-device", "0")])
def test_an_option_that_overwrites_the_pin_is_refused(
    tree: Path, wsl: Path, inventory: Inventory, options: tuple[str, ...]
) -> None:
    name = options[0].partition("=")[0]
    refused(run(tree, wsl, pinned(inventory), *options), f"{name}, which overwrites the pin")


def test_the_processor_is_used_only_where_the_site_says_so(
    tree: Path, wsl: Path, inventory: Inventory, tmp_path: Path
) -> None:
    refused(run(tree, wsl, pinned(inventory), "--cpu"), "--cpu, and would leave its card idle")
    on_cpu = gpu_pins.resolve({"it": {"name": RTX_3090}}, (), (), "cpu")["it"]["environment"]
    assert run(tree, tmp_path, on_cpu, "--cpu").stdout == "started --cpu\n"
    refused(run(tree, tmp_path, on_cpu), "ComfyUI is to start without --cpu")


def test_an_image_that_is_started_by_hand_says_what_it_wants(tree: Path, wsl: Path) -> None:
    refused(run(tree, wsl, {}), "COMFYSTACK_GPU_MODE is ''", "COMFYSTACK_GPU_MODE=cpu and --cpu")


class TestWhereTorchTellsNoUuid:
    """By name and memory: the next best, which cannot tell two cards of one name apart."""

    @pytest.mark.parametrize("uuid", ["", "00000000-0000-0000-0000-000000000000"])
    def test_name_and_memory_decide(self, uuid: str) -> None:
        assert start.wrong_card({**ANSWER, "uuid": uuid}, PIN) == ""
        assert RTX_3080 in start.wrong_card({**ANSWER, "uuid": uuid, "name": RTX_3080}, PIN)
        assert "8192 MiB" in start.wrong_card({**ANSWER, "uuid": uuid, "memory": 8192 * 2**20}, PIN)

    def test_a_ti_is_another_card(self) -> None:
        assert "3090 Ti" in start.wrong_card({**ANSWER, "uuid": "", "name": f"{RTX_3090} Ti"}, PIN)

    def test_a_memory_that_nvidia_smi_did_not_tell_is_not_compared(self) -> None:
        assert (
            start.wrong_card({**ANSWER, "uuid": "", "memory": 1}, {**PIN, "COMFYSTACK_GPU_MEMORY_MIB": ""})
            == ""
        )


@given(uuid=st.uuids(), other=st.uuids(), prefix=st.sampled_from(["", "GPU-"]))
def test_two_cards_are_the_same_exactly_when_their_uuids_are(uuid: Any, other: Any, prefix: str) -> None:
    pin = {**PIN, "COMFYSTACK_GPU_UUID": f"GPU-{uuid}"}
    assert start.wrong_card({**ANSWER, "uuid": f"{prefix}{uuid}".replace("-", "-")}, pin) == ""
    if uuid != other:
        assert start.wrong_card({**ANSWER, "uuid": f"{prefix}{other}"}, pin).startswith(
            "found: CUDA device 0"
        )


class TestHealth:
    """What Docker asks again and again while ComfyUI runs."""

    def test_the_pinned_card_is_healthy(self) -> None:
        assert health.problem([{"name": f"cuda:0 {RTX_3090} : cudaMallocAsync"}], PIN) == ""

    @pytest.mark.parametrize("name", ["cpu", f"cuda:0 {RTX_3080} : native", f"cuda:0 {RTX_3090} Ti : native"])
    def test_another_device_is_not(self, name: str) -> None:
        assert f"expected: {RTX_3090}" in health.problem([{"name": name}], PIN)

    def test_without_a_card_the_processor_is(self) -> None:
        assert health.problem([{"name": "cpu"}], {"COMFYSTACK_GPU_NAME": ""}) == ""

    def test_no_device_is_not(self) -> None:
        assert health.problem([], PIN) == "no device"
