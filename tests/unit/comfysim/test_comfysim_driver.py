"""Which cards the process sees follows from what was injected into its file system."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from tests.lab.comfyui.comfysim import cuda
from tests.lab.comfyui.comfysim.driver import DriverFileError, find_driver
from tests.lab.gpu import cards, guest

STORE = Path("usr/lib/wsl/drivers/nv_dispi.inf_amd64_0123456789abcdef")


@pytest.fixture
def wsl(tmp_path: Path) -> Path:
    guest.lay_guest(cards.load(), tmp_path)
    (tmp_path / "dev").mkdir(exist_ok=True)
    (tmp_path / "dev/dxg").touch()
    return tmp_path


@pytest.fixture
def native(tmp_path: Path) -> Path:
    guest.lay_guest(dataclasses.replace(cards.load(), mode="native"), tmp_path)
    (tmp_path / "dev").mkdir(exist_ok=True)
    return tmp_path


def seen(root: Path) -> list[int]:
    driver = find_driver(root)
    assert driver
    return [card.minor for card in driver.cards]


def test_wsl_shows_every_card_whatever_device_nodes_there_are(wsl: Path) -> None:
    (wsl / "dev/nvidia1").touch()
    assert seen(wsl) == [0, 1]


def test_natively_a_card_is_there_when_its_device_node_is(native: Path) -> None:
    (native / "dev/nvidia1").touch()
    assert seen(native) == [1]


def test_nothing_injected_is_no_driver(tmp_path: Path) -> None:
    assert find_driver(tmp_path) is None


def test_another_vendors_folder_is_no_driver(tmp_path: Path) -> None:
    (tmp_path / "usr/lib/wsl/drivers/iigd_dch.inf_amd64_0123456789abcdef").mkdir(parents=True)
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/dxg").touch()
    assert find_driver(tmp_path) is None


def test_a_driver_store_without_dxg_has_no_device(wsl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (wsl / "dev/dxg").unlink()
    monkeypatch.setenv("COMFYSIM_ROOT", str(wsl))
    with pytest.raises(RuntimeError, match="No CUDA GPUs are available"):
        cuda.require_devices()


def test_two_injected_drivers_are_refused_by_name(wsl: Path) -> None:
    (first,) = wsl.glob("usr/lib/wsl/drivers/nv*/simulated-driver.json")
    (wsl / STORE).mkdir()
    (wsl / STORE / first.name).write_bytes(first.read_bytes())
    with pytest.raises(DriverFileError, match="found 2 injected drivers"):
        find_driver(wsl)


def change(root: Path, **fields: Any) -> None:
    (file,) = root.glob("usr/lib/wsl/drivers/nv*/simulated-driver.json")
    data = json.loads(file.read_text())
    data["cards"][0].update(fields)
    file.write_text(json.dumps(data))


@pytest.mark.parametrize(
    "fields",
    [
        {"uuid": "6a1f"},
        {"pci_bus_id": "01:00"},
        {"memory_mib": "much"},
        {"cuda_rank": 0},
        {"compute_capability": "new"},
    ],
)
def test_a_malformed_driver_file_is_refused_by_name(wsl: Path, fields: dict[str, Any]) -> None:
    change(wsl, **fields)
    with pytest.raises(DriverFileError, match=r"simulated-driver\.json"):
        find_driver(wsl)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("no_devices", "No CUDA GPUs are available"),
        ("access_blocked", "No CUDA GPUs are available"),
        ("driver_unreachable", "Error 304"),
        ("version_mismatch", "Error 803"),
        ("moon_phase", "simulator: driver fault 'moon_phase' is not modelled"),
    ],
)
def test_a_faulty_driver_gives_no_device(
    wsl: Path, monkeypatch: pytest.MonkeyPatch, kind: str, message: str
) -> None:
    (file,) = wsl.glob("usr/lib/wsl/drivers/nv*/simulated-driver.json")
    data = json.loads(file.read_text()) | {"fault": {"kind": kind, "uuid": None}}
    file.write_text(json.dumps(data))
    monkeypatch.setenv("COMFYSIM_ROOT", str(wsl))
    with pytest.raises(RuntimeError, match=message):
        cuda.require_devices()


def test_a_lost_card_is_gone_and_the_others_stay(wsl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (file,) = wsl.glob("usr/lib/wsl/drivers/nv*/simulated-driver.json")
    data = json.loads(file.read_text())
    lost, other = data["cards"]
    file.write_text(json.dumps(data | {"fault": {"kind": "gpu_lost", "uuid": lost["uuid"]}}))
    monkeypatch.setenv("COMFYSIM_ROOT", str(wsl))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert [card.uuid for card in cuda.require_devices()] == [other["uuid"]]
