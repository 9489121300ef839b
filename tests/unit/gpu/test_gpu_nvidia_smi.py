"""The lab's nvidia-smi prints what the real one prints, fails as it fails, and refuses what it does not model."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.gpu.cards import Fault, Inventory

from .hosts import lay

Smi = Callable[..., subprocess.CompletedProcess[str]]


def test_it_lists_the_cards_with_their_uuids(wsl: Path, smi: Smi) -> None:
    done = smi(wsl, "-L")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "GPU 0: NVIDIA GeForce RTX 3080 (UUID: GPU-6a1f0c52-9b7d-4e83-a2c4-1d58f07be936)",
        "GPU 1: NVIDIA GeForce RTX 3090 (UUID: GPU-e47b2d90-35c8-4f16-8a0e-c92f61d3b7a4)",
    ]


def test_a_query_has_titles_with_units_and_not_available_where_wsl_has_no_figure(wsl: Path, smi: Smi) -> None:
    done = smi(wsl, "--query-gpu=index,memory.total,utilization.gpu", "--format=csv")
    assert done.stdout.splitlines() == [
        "index, memory.total [MiB], utilization.gpu [%]",
        "0, 16384 MiB, [N/A]",
        "1, 24576 MiB, [N/A]",
    ]


def test_a_query_can_leave_out_titles_and_units_and_name_one_card(wsl: Path, smi: Smi) -> None:
    done = smi(wsl, "--query-gpu=gpu_name,memory.total", "--format=csv,noheader,nounits", "-i", "1")
    assert done.stdout == "NVIDIA GeForce RTX 3090, 24576\n"


def test_the_table_keeps_its_frame(wsl: Path, smi: Smi) -> None:
    lines = smi(wsl).stdout.splitlines()[1:]
    assert {len(line) for line in lines if line} == {91}
    assert "Driver Version: 580.97" in lines[1]
    assert any("NVIDIA GeForce RTX 3090 " in line and "00000000:02:00.0 Off" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--query-gpu=colour", "--format=csv"], 2, 'Field "colour" is not a valid field to query.'),
        (["--query-gpu=name"], 2, "--format="),
        (["--query-gpu=name", "--format=json"], 2, "not a valid format"),
        (["--list"], 2, "Option --list is not recognized"),
        (["-L", "--query-gpu=name", "--format=csv"], 2, "Invalid combination of input arguments"),
        (["-i", "7"], 6, "No devices were found"),
        (["-q"], 64, "does not model -q"),
        (["dmon"], 64, "does not model dmon"),
    ],
)
def test_what_it_does_not_know_is_an_error(
    wsl: Path, smi: Smi, arguments: list[str], code: int, text: str
) -> None:
    done = smi(wsl, *arguments)
    assert (done.returncode, text in done.stdout) == (code, True), done.stdout


@pytest.mark.parametrize(
    ("fault", "code", "text"),
    [
        ("no_devices", 6, "No devices were found"),
        (
            "driver_unreachable",
            9,
            "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver",
        ),
        ("version_mismatch", 18, "Failed to initialize NVML: Driver/library version mismatch"),
        ("access_blocked", 17, "GPU access blocked by the operating system"),
    ],
)
def test_a_broken_driver_fails_as_the_real_one(
    inventory: Inventory, tmp_path: Path, smi: Smi, fault: str, code: int, text: str
) -> None:
    root = lay(dataclasses.replace(inventory, fault=Fault(fault)), tmp_path)
    for arguments in ([], ["-L"], ["--query-gpu=name", "--format=csv"]):
        done = smi(root, *arguments)
        assert (done.returncode, text in done.stdout) == (code, True), done.stdout


def test_a_lost_card_is_told_while_its_neighbour_answers(
    inventory: Inventory, tmp_path: Path, smi: Smi
) -> None:
    root = lay(dataclasses.replace(inventory, fault=Fault("gpu_lost", 1)), tmp_path)
    done = smi(root, "-L")
    assert done.returncode == 0
    assert "Unable to determine the device handle for GPU 0000:02:00.0: GPU is lost." in done.stderr
    assert "3080" in done.stdout
    assert "3090" not in done.stdout


def test_without_its_device_node_there_is_no_card(wsl: Path, native: Path, smi: Smi) -> None:
    (wsl / "dev/dxg").unlink()
    assert smi(wsl, "-L").returncode == 17
    (native / "dev/nvidia0").unlink()
    assert smi(native, "-L").stdout.startswith("GPU 0: NVIDIA GeForce RTX 3090 ")
    (native / "dev/nvidiactl").unlink()
    assert smi(native, "-L").returncode == 9


def test_a_plain_file_is_no_device_node(wsl: Path, smi: Smi) -> None:
    (wsl / "dev/dxg").unlink()
    (wsl / "dev/dxg").touch()
    assert smi(wsl, "-L").returncode == 17


def test_without_the_drivers_files_the_library_is_missing(wsl: Path, smi: Smi) -> None:
    next((wsl / "usr/lib/wsl/drivers").glob("nv*/simulated-driver.json")).unlink()
    done = smi(wsl, "-L")
    assert (done.returncode, "couldn't find libnvidia-ml.so" in done.stdout) == (12, True)
