"""What verify says of the card: red for each way in which the wrong one can be used, also where it happens to work."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tests.infra import gpu_rows

from .conftest import gpu_pins, nvidia_smi
from .test_gpu_pins import QWEN, RTX_3080, RTX_3090, TI

RENUMBERED = (
    dataclasses.replace(RTX_3090, index=0, pci_bus_id="00000000:01:00.0"),
    dataclasses.replace(RTX_3080, index=1, pci_bus_id="00000000:02:00.0"),
)
HOST = (RTX_3080, RTX_3090)


def pin_of(form: str = "uuid", mode: str = "wsl") -> dict[str, Any]:
    found: dict[str, Any] = gpu_pins.resolve({"qwen": {**QWEN, "form": form}}, HOST, (), mode)["qwen"]
    return found


def inspected(pin: dict[str, Any], *options: str, **environment: str | None) -> dict[str, Any]:
    """`docker inspect` of the pinned container, with ComfyUI's options and other variables; None takes one out."""
    variables = {**pin["environment"], **environment}
    ids = pin["device_ids"]
    return {
        "Args": ["--", "python", "/opt/start.py", *options],
        "Config": {"Env": [f"{k}={v}" for k, v in variables.items() if v is not None], "Cmd": list(options)},
        "HostConfig": {"DeviceRequests": [{"Driver": "nvidia", "DeviceIDs": ids}] if ids else None},
    }


def configured(
    pin: dict[str, Any], *options: str, gpus: tuple[Any, ...] = HOST, **environment: str | None
) -> str:
    """The configuration findings as one text, each of the right shape."""
    found = gpu_rows.configuration(inspected(pin, *options, **environment), gpus, pin)
    assert all(one.startswith("found: ") and "; next step: " in one for one in found)
    return "\n".join(found)


@pytest.mark.parametrize("mode", ["wsl", "native"])
@pytest.mark.parametrize("form", ["uuid", "index"])
def test_what_a_deployment_wrote_is_right(form: str, mode: str) -> None:
    pin = pin_of(form, mode)
    assert configured(pin, "--listen=0.0.0.0") == ""
    assert gpu_rows.host(HOST, pin) == []


def test_a_number_typed_by_hand_is_found_though_it_selects_the_right_card_today() -> None:
    found = configured(pin_of(), CUDA_VISIBLE_DEVICES="1")
    assert "CUDA_VISIBLE_DEVICES=1, a number that no deployment wrote" in found
    assert f"by PCI bus that is {RTX_3090.name} ({RTX_3090.uuid})" in found


def test_a_derived_number_without_its_order_is_found_though_it_may_work() -> None:
    found = configured(pin_of("index"), CUDA_DEVICE_ORDER=None)
    assert "CUDA_DEVICE_ORDER is not set" in found
    assert "expected: PCI_BUS_ID" in found
    assert "CUDA_VISIBLE_DEVICES" not in found
    assert "FASTEST_FIRST" in configured(pin_of(), CUDA_DEVICE_ORDER="FASTEST_FIRST")


@pytest.mark.parametrize("form", ["uuid", "index"])
def test_when_the_cards_were_renumbered_a_number_is_told_with_both_cards(form: str) -> None:
    found = configured(pin_of(form), gpus=RENUMBERED, CUDA_VISIBLE_DEVICES="1")
    assert f"by PCI bus that is {RTX_3080.name} ({RTX_3080.uuid})" in found
    assert f"{RTX_3090.name} ({RTX_3090.uuid})" in found.partition("; expected: ")[2]
    # The UUID holds.
    assert gpu_rows.configuration(inspected(pin_of()), RENUMBERED, pin_of()) == []


def test_the_uuid_of_the_other_card_is_found_and_named() -> None:
    found = configured(pin_of(), CUDA_VISIBLE_DEVICES=RTX_3080.uuid)
    assert f"CUDA_VISIBLE_DEVICES={RTX_3080.uuid}, which is {RTX_3080.name}" in found
    assert f"expected: {RTX_3090.uuid}, for {RTX_3090.name}" in found
    assert "no card of this host" in configured(pin_of(), CUDA_VISIBLE_DEVICES="GPU-00000000")


def test_no_selection_at_all_is_found() -> None:
    assert "CUDA_VISIBLE_DEVICES is not set" in configured(pin_of(), CUDA_VISIBLE_DEVICES=None)


def test_a_number_past_the_last_card_is_no_card() -> None:
    for selected in ("7", "one", "-1", ""):
        assert "is no card" in configured(pin_of("index"), CUDA_VISIBLE_DEVICES=selected)


@pytest.mark.parametrize("options", [("--cuda-device", "1"), ("--cuda-device=1",), ("--default-device=0",)])
def test_comfyuis_own_device_option_is_found(options: tuple[str, ...]) -> None:
    assert "which overwrites CUDA_VISIBLE_DEVICES" in configured(pin_of(), *options)


def test_the_processor_asked_for_is_found() -> None:
    assert "ComfyUI runs with --cpu, which computes on the processor" in configured(pin_of(), "--cpu")


def test_a_reservation_of_another_card_and_one_in_wsl_are_found() -> None:
    native = pin_of(mode="native")
    document = inspected(native)
    document["HostConfig"]["DeviceRequests"] = [{"DeviceIDs": ["1"]}]
    (found,) = gpu_rows.configuration(document, HOST, native)
    assert "device_ids ['1']" in found
    document = inspected(pin_of())
    document["HostConfig"]["DeviceRequests"] = [{"DeviceIDs": [RTX_3090.uuid]}]
    (found,) = gpu_rows.configuration(document, HOST, pin_of())
    assert "WSL2 hands out all cards or none" in found


def test_a_3090_ti_on_the_host_is_not_the_3090() -> None:
    (found,) = gpu_rows.host((RTX_3080, TI), pin_of())
    assert f"this host has {RTX_3080.name} ({RTX_3080.uuid}); NVIDIA GeForce RTX 3090 Ti (GPU-0)" in found
    # Nor where the driver now gives the very card another name.
    renamed = dataclasses.replace(RTX_3090, name=TI.name)
    (found,) = gpu_rows.host((RTX_3080, renamed), pin_of())
    assert f"{TI.name} ({RTX_3090.uuid}); expected: {RTX_3090.name} ({RTX_3090.uuid})" in found


ANSWER = {"name": RTX_3090.name, "uuid": "e47b2d90", "memory": 24575 * 2**20, "count": 1}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"name": RTX_3080.name, "uuid": "6a1f0c52"},
            f"CUDA device 0 is {RTX_3080.name} (6a1f0c52); expected: {RTX_3090.name}",
        ),
        ({"uuid": "11111111"}, "CUDA device 0 is NVIDIA GeForce RTX 3090 (11111111)"),
        ({"name": TI.name}, "CUDA device 0 is NVIDIA GeForce RTX 3090 Ti"),
        ({"count": 2}, "2 devices visible to CUDA"),
        ({"memory": 8192 * 2**20}, "8192 MiB on it"),
    ],
)
def test_what_torch_sees_is_compared(change: dict[str, Any], words: str) -> None:
    assert gpu_rows.torch(ANSWER, pin_of()) == []
    assert words in "\n".join(gpu_rows.torch({**ANSWER, **change}, pin_of()))


def test_a_torch_without_a_card_is_told_in_its_own_words() -> None:
    (found,) = gpu_rows.torch({"error": "No CUDA GPUs are available"}, pin_of())
    assert "torch has no card in the container: No CUDA GPUs are available" in found


def test_a_silent_fallback_to_the_processor_is_found() -> None:
    """ComfyUI answers, is healthy for whoever asks the port, and would take hours."""
    right = [{"name": f"cuda:0 {RTX_3090.name} : cudaMallocAsync", "type": "cuda"}]
    assert gpu_rows.comfyui(right, pin_of()) == []
    (found,) = gpu_rows.comfyui([{"name": "cpu", "type": "cpu"}], pin_of())
    assert f"ComfyUI computes on cpu; expected: {RTX_3090.name}" in found
    assert "a computation on the processor takes hours" in found


@pytest.mark.parametrize("name", [RTX_3080.name, TI.name])
def test_comfyui_on_another_card_is_found(name: str) -> None:
    device = {"name": f"cuda:0 {name} : native", "type": "cuda"}
    (found,) = gpu_rows.comfyui([device], pin_of())
    assert f"ComfyUI computes on {name}" in found
    assert gpu_rows.comfyui([], pin_of())


def test_a_failure_of_nvidia_smi_is_verifys_finding() -> None:
    text = "Failed to initialize NVML: Driver/library version mismatch"
    gpus, wrong = gpu_rows.cards(text, "", 18, "wsl")
    assert gpus == []
    assert "wsl --shutdown" in wrong[0]


def test_the_cards_are_those_that_the_deployment_saw() -> None:
    rows = [
        f"{gpu.index}, {gpu.name}, {gpu.uuid}, {gpu.pci_bus_id}, {gpu.memory_mib} MiB, 580.97, 8.6, [N/A]"
        for gpu in HOST
    ]
    titles = ", ".join(nvidia_smi.QUERY_FIELDS).replace("memory.total", "memory.total [MiB]")
    assert gpu_rows.cards("\n".join([titles, *rows]), "", 0, "wsl") == (list(HOST), [])
