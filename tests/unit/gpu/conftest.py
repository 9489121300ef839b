"""The lab's simulated driver in a temporary root, and the project's Ansible code under its Ansible names."""

from __future__ import annotations

import dataclasses
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from tests.lab.gpu.cards import Inventory, load

from .hosts import lay

PLUGINS = Path(__file__).resolve().parents[3] / "ansible" / "plugins"
Smi = Callable[..., subprocess.CompletedProcess[str]]


def _as(name: str, file: Path) -> ModuleType:
    """Loads `file` under the module name that Ansible gives it when it ships it to a host."""
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


nvidia_smi = _as("ansible.module_utils.nvidia_smi", PLUGINS / "module_utils" / "nvidia_smi.py")
gpu_pins = _as("ansible.module_utils.gpu_pins", PLUGINS / "module_utils" / "gpu_pins.py")
gpu_info = _as("nvidia_gpu_info", PLUGINS / "modules" / "nvidia_gpu_info.py")


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
    return load()


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
