"""Whatever nvidia-smi prints, the operator gets the cards or one sentence, never a traceback."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lab.gpu.cards import Fault, Inventory

from .conftest import Smi, nvidia_smi
from .hosts import lay

TITLES = "index, name, uuid, pci.bus_id, memory.total [MiB], driver_version, compute_cap, mig.mode.current"
UUID = "GPU-e47b2d90-35c8-4f16-8a0e-c92f61d3b7a4"
ROW = f"1, NVIDIA GeForce RTX 3090, {UUID}, 00000000:02:00.0, 24576 MiB, 580.97, 8.6, [N/A]"


def read(output: str, errors: str = "", code: int = 0, mode: str = "wsl") -> Any:
    return nvidia_smi.read_query(output, errors, code, mode)


def outcome(output: str, errors: str = "", code: int = 0) -> Any:
    """The cards, or the sentence of the failure: the only two things that may come of any text."""
    try:
        return read(output, errors, code).gpus
    except nvidia_smi.SmiFailure as failure:
        return str(failure)


def is_sentence_or_cards(result: Any) -> bool:
    if isinstance(result, str):
        return result.startswith("found: ") and "; next step: " in result
    return bool(result) and all(gpu.name and gpu.uuid and gpu.pci_bus_id for gpu in result)


def test_the_cards_of_the_lab_come_out_as_they_went_in(
    wsl: Path, native: Path, inventory: Inventory, smi: Smi
) -> None:
    for root in (wsl, native):
        done = smi(root, *nvidia_smi.query_command("nvidia-smi")[1:])
        answer = read(done.stdout, done.stderr, done.returncode)
        assert [(gpu.index, gpu.name, gpu.uuid, gpu.pci_bus_id, gpu.memory_mib) for gpu in answer.gpus] == [
            (card.index, card.name, card.uuid, card.pci_bus_id, card.memory_mib) for card in inventory.cards
        ]


def test_a_real_answer_is_read() -> None:
    """As driver 580.159.04 prints it on native Linux, but for the UUID's digits."""
    row = "0, NVIDIA H200, GPU-11111111-2222-3333-4444-555555555555, 00000000:00:06.0, 143771 MiB, 580.159.04, 9.0"
    (gpu,) = read(f"{TITLES}\n{row}, Disabled\n", mode="native").gpus
    assert (gpu.name, gpu.memory_mib, gpu.driver_version, gpu.mig) == (
        "NVIDIA H200",
        143771,
        "580.159.04",
        False,
    )


@pytest.mark.parametrize("nothing", ["[N/A]", "[Not Supported]", "[Unknown Error]", "N/A"])
def test_a_figure_that_wsl_does_not_give_is_unknown_and_no_error(nothing: str) -> None:
    row = ROW.replace("24576 MiB", nothing).replace("8.6", nothing)
    (gpu,) = read(f"{TITLES}\n{row}\n").gpus
    assert (gpu.memory_mib, gpu.compute_capability, gpu.uuid) == (None, None, UUID)


@pytest.mark.parametrize(
    ("printed", "divided"),
    [("Enabled", True), ("Disabled", False), ("[N/A]", False), ("[Not Supported]", False)],
)
def test_a_card_that_is_divided_is_told_from_a_whole_one(printed: str, divided: bool) -> None:
    (gpu,) = read(f"{TITLES}\n{ROW.replace('[N/A]', printed)}\n").gpus
    assert gpu.mig is divided


def test_lines_about_instances_of_a_divided_card_are_no_cards() -> None:
    """As `nvidia-smi -L` lists them below their card, and as some versions warn of them above an answer."""
    line = "  MIG 1g.5gb      Device  0: (UUID: MIG-6d39b3d4-3f5c-5a2e-8e1e-2b9f0a2f4e11)"
    answer = read(f"{line}\n{TITLES}\n{ROW}\n{line}\n")
    assert [gpu.uuid for gpu in answer.gpus] == [UUID]
    assert answer.lost == ()


def test_a_card_that_prints_its_loss_into_its_cells_is_lost_and_not_a_card() -> None:
    gone = "0, [GPU is lost], [GPU is lost], 00000000:01:00.0, [GPU is lost], 580.97, [GPU is lost], [N/A]"
    answer = read(f"{TITLES}\n{gone}\n{ROW}\n")
    assert [gpu.index for gpu in answer.gpus] == [1]
    assert answer.lost == (gone,)


@pytest.mark.parametrize("stream", ["output", "errors"])
def test_a_lost_neighbour_is_reported_though_the_exit_status_is_zero(stream: str) -> None:
    line = "Unable to determine the device handle for GPU0: 0000:01:00.0: Unknown Error"
    output, errors = f"{TITLES}\n{ROW}\n", ""
    output, errors = (f"{line}\n{output}", "") if stream == "output" else (output, line + "\n")
    answer = read(output, errors)
    assert [gpu.uuid for gpu in answer.gpus] == [UUID]
    assert answer.lost == (line,)


FAULTS = {
    "no_devices": ("No devices were found", "Device Manager"),
    "driver_unreachable": ("couldn't communicate with the NVIDIA driver", "wsl --update"),
    "version_mismatch": ("Driver/library version mismatch", "wsl --shutdown"),
    "access_blocked": ("GPU access blocked by the operating system", "/dev/dxg"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_known_failure_becomes_one_sentence_with_a_next_step(
    inventory: Inventory, tmp_path: Path, smi: Smi, fault: str
) -> None:
    root = lay(dataclasses.replace(inventory, fault=Fault(fault)), tmp_path)
    done = smi(root, *nvidia_smi.query_command("nvidia-smi")[1:])
    with pytest.raises(nvidia_smi.SmiFailure) as caught:
        read(done.stdout, done.stderr, done.returncode)
    text, step = FAULTS[fault]
    found, _, rest = str(caught.value).partition("; expected: ")
    assert text in found
    assert step in rest.partition("; next step: ")[2]


def test_native_linux_is_not_told_to_restart_wsl() -> None:
    with pytest.raises(nvidia_smi.SmiFailure) as caught:
        read("Failed to initialize NVML: Driver/library version mismatch\n", code=18, mode="native")
    assert "reboot" in str(caught.value)
    assert "wsl" not in str(caught.value)


def test_when_the_only_card_is_lost_the_message_says_so(
    inventory: Inventory, tmp_path: Path, smi: Smi
) -> None:
    alone = dataclasses.replace(inventory, cards=inventory.cards[:1], fault=Fault("gpu_lost", 0))
    done = smi(lay(alone, tmp_path), *nvidia_smi.query_command("nvidia-smi")[1:])
    with pytest.raises(nvidia_smi.SmiFailure, match=r"GPU is lost.*restart Windows"):
        read(done.stdout, done.stderr, done.returncode)


@pytest.mark.parametrize(
    ("output", "code", "text"),
    [
        ("", 0, "says nothing"),
        ("", 139, "exit status 139"),
        ("Segmentation fault", 139, "Segmentation fault"),
        ("index, name\n0, RTX", 0, "a CSV title line with uuid"),
        (f"{TITLES}\n1, NVIDIA GeForce RTX 3090", 0, "has 2 values"),
        (f"{TITLES}\n{ROW.replace('1, N', 'one, N')}", 0, "numbers and a PCI address"),
        (f"{TITLES}\n{ROW.replace('00000000:02:00.0', 'second slot')}", 0, "is no PCI address"),
    ],
)
def test_an_answer_of_another_shape_is_quoted(output: str, code: int, text: str) -> None:
    with pytest.raises(nvidia_smi.SmiFailure) as caught:
        read(output, code=code)
    assert text in str(caught.value)
    assert "next step: run" in str(caught.value)


@given(output=st.text(), errors=st.text(max_size=60), code=st.integers(0, 255))
def test_no_text_whatever_makes_the_parser_crash(output: str, errors: str, code: int) -> None:
    assert is_sentence_or_cards(outcome(output, errors, code))


CELL = st.sampled_from(["", "0", "[N/A]", "[GPU is lost]", "x", "00000000:01:00.0", "12 MiB", "-1", "٣"])


@given(rows=st.lists(st.lists(CELL, min_size=7, max_size=9), max_size=3))
def test_no_table_whatever_makes_the_parser_crash(rows: list[list[str]]) -> None:
    assert is_sentence_or_cards(outcome("\n".join([TITLES, *(", ".join(row) for row in rows)])))


WORD = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-() ", min_size=1, max_size=30)
NAME = WORD.map(str.strip).filter(lambda name: bool(name) and name != "N/A")
ADDRESS = st.tuples(st.integers(0, 0xFFFF), st.integers(0, 255), st.integers(0, 31)).map(
    lambda parts: f"{parts[0]:08X}:{parts[1]:02X}:{parts[2]:02X}.0"
)


@given(
    cards=st.lists(
        st.tuples(NAME, st.uuids(), ADDRESS, st.integers(1, 200_000)),
        min_size=1,
        max_size=8,
        unique_by=(lambda card: str(card[1]), lambda card: card[2]),
    ),
    data=st.data(),
)
def test_any_number_of_cards_comes_back_in_order_of_the_bus_whatever_the_columns_order(
    cards: list[tuple[str, object, str, int]], data: st.DataObject
) -> None:
    columns = data.draw(st.permutations(TITLES.split(", ")))
    lines = [", ".join(columns)]
    for number, (name, uuid, address, memory) in enumerate(cards):
        cells = dict(
            zip(
                TITLES.split(", "),
                (str(number), name, f"GPU-{uuid}", address, f"{memory} MiB", "580.97", "8.6", "[N/A]"),
                strict=True,
            )
        )
        lines.append(", ".join(cells[column] for column in columns))
    gpus = read("\n".join(lines)).gpus
    assert sorted((gpu.name, gpu.uuid, gpu.memory_mib) for gpu in gpus) == sorted(
        (name, f"GPU-{uuid}", memory) for name, uuid, _, memory in cards
    )
    assert [gpu.pci_bus_id for gpu in gpus] == sorted(address for _, _, address, _ in cards)


@pytest.mark.parametrize("written", ["02:00.0", "0000:02:00.0", "00000000:02:00.0"])
def test_an_address_may_be_written_as_people_write_it(smi_parser: ModuleType, written: str) -> None:
    assert smi_parser.normal_pci(written) == "00000000:02:00.0"
