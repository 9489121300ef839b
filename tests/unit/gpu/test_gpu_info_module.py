"""The Ansible module finds nvidia-smi where each kind of host has it, and does not wait for it forever."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.lab.gpu.cards import Fault, Inventory
from tests.own_modules import PLUGINS

from .conftest import nvidia_smi
from .hosts import lay


def test_the_mode_follows_from_what_the_host_has(
    info_module: ModuleType, wsl: Path, native: Path, tmp_path: Path
) -> None:
    assert info_module.detect_mode(wsl) == "wsl"
    assert info_module.detect_mode(native) == "native"
    bare = tmp_path / "bare"
    (bare / "proc/sys/kernel").mkdir(parents=True)
    assert info_module.detect_mode(bare) == ""
    (bare / "proc/sys/kernel/osrelease").write_text("6.6.87.2-microsoft-standard-WSL2\n")
    assert info_module.detect_mode(bare) == "wsl"


def test_a_guest_without_nvidia_smi_is_told_to_look_on_the_windows_side(info_module: ModuleType) -> None:
    with pytest.raises(nvidia_smi.SmiFailure, match=r"no program at /absent.*driver on Windows \(never"):
        info_module.find_nvidia_smi("/absent", "wsl")


def test_a_hanging_nvidia_smi_is_given_up(
    info_module: ModuleType, inventory: Inventory, tmp_path: Path
) -> None:
    root = lay(dataclasses.replace(inventory, fault=Fault("hang")), tmp_path)
    with pytest.raises(nvidia_smi.SmiFailure, match=r"no answer within 1 s.*wsl --shutdown"):
        info_module.ask(str(root / "usr/lib/wsl/lib/nvidia-smi"), 1, "wsl")


def test_a_program_that_does_not_start_is_told(info_module: ModuleType, tmp_path: Path) -> None:
    broken = tmp_path / "nvidia-smi"
    broken.write_bytes(b"\x7fELF")
    broken.chmod(0o755)
    with pytest.raises(nvidia_smi.SmiFailure, match="does not start"):
        info_module.ask(str(broken), 5, "wsl")


def run_module(host: Path, services: object, check: bool = False) -> tuple[int, dict[str, object]]:
    """The module through Ansible's own command line: shipped, run and answered as on a host."""
    program = next(
        p for p in (host / "usr/lib/wsl/lib/nvidia-smi", host / "usr/bin/nvidia-smi") if p.exists()
    )
    mode = "wsl" if "wsl" in program.parts else "native"
    arguments = json.dumps({"mode": mode, "nvidia_smi": str(program), "services": services})
    ansible = str(Path(sys.executable).with_name("ansible"))
    command = [ansible, "localhost", "-m", "nvidia_gpu_info", "-a", arguments]
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(host),
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_CONFIG": str(PLUGINS.parent / "ansible.cfg"),
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        "ANSIBLE_LOAD_CALLBACK_PLUGINS": "true",
        "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
    }
    more = ["--check"] if check else []
    done = subprocess.run([*command, *more], capture_output=True, text=True, env=environment, check=False)
    # The document alone: after it, a check says in words what it left out.
    document, _ = json.JSONDecoder().raw_decode(done.stdout)
    result = document["plays"][0]["tasks"][0]["hosts"]["localhost"]
    return done.returncode, result


def test_through_ansible_it_pins_and_changes_nothing_also_in_check_mode(wsl: Path) -> None:
    code, result = run_module(wsl, {"qwen": {"name": "NVIDIA GeForce RTX 3090"}}, check=True)
    assert (code, result["changed"], result["driver_version"]) == (0, False, "580.97")
    pins = result["pins"]
    assert isinstance(pins, dict)
    assert pins["qwen"]["uuid"] == "GPU-e47b2d90-35c8-4f16-8a0e-c92f61d3b7a4"


def test_through_ansible_a_card_that_is_not_there_is_one_clear_message(native: Path) -> None:
    code, result = run_module(native, {"qwen": {"name": "NVIDIA GeForce RTX 4090"}})
    assert code != 0
    assert str(result["msg"]).startswith(
        "qwen: found: no card matches 'NVIDIA GeForce RTX 4090' on this host"
    )
