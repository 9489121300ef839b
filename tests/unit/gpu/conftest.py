"""The lab's simulated driver in a temporary root, and the project's Ansible code under its Ansible names."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from tests.lab.gpu.cards import Inventory
from tests.lab.gpu.cards import load as load_cards
from tests.own_modules import PLUGINS, load, module_utils

from .hosts import lay

Smi = Callable[..., subprocess.CompletedProcess[str]]

nvidia_smi = module_utils("nvidia_smi")
gpu_pins = module_utils("gpu_pins")
gpu_plan = module_utils("gpu_plan")
gpu_info = load("nvidia_gpu_info", PLUGINS / "modules" / "nvidia_gpu_info.py")


@pytest.fixture(scope="session")
def smi_parser() -> ModuleType:
    return nvidia_smi


@pytest.fixture(scope="session")
def pins() -> ModuleType:
    return gpu_pins


@pytest.fixture(scope="session")
def info_module() -> ModuleType:
    return gpu_info


@pytest.fixture
def inventory() -> Inventory:
    return load_cards()


@pytest.fixture
def wsl(inventory: Inventory, tmp_path: Path) -> Path:
    return lay(inventory, tmp_path / "wsl")


@pytest.fixture
def native(inventory: Inventory, tmp_path: Path) -> Path:
    return lay(dataclasses.replace(inventory, mode="native"), tmp_path / "native")


@pytest.fixture
def smi() -> Smi:
    """Runs the nvidia-smi of a root as the program it is."""

    def run(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        in_wsl = root / "usr/lib/wsl/lib/nvidia-smi"
        program = in_wsl if in_wsl.exists() else root / "usr/bin/nvidia-smi"
        return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)

    return run
