"""Ansible finds the hosts of the lab that is raised, and says so where none is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import util
from pathlib import Path
from types import ModuleType

import pytest

from tests.lab.names import ROOT

SCRIPT = ROOT / "inventories" / "lab" / "lab.py"
PORTS = {"https": 1, "http": 2, "winrm": 3, "ssh": 4, "registry": 5}


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script, looking for labs under `tmp_path`."""
    spec = util.spec_from_file_location("lab_inventory", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    return module


def raise_lab(root: Path, name: str, parts: list[str]) -> None:
    record = {"name": name, "address": "127.0.0.1", "ports": PORTS, "parts": parts}
    (root / "build" / name).mkdir(parents=True)
    (root / "build" / name / "lab.json").write_text(json.dumps(record))


def test_a_lab_that_is_not_raised_is_an_error_with_the_next_step() -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT],
        env={**os.environ, "LAB_NAME": "not-raised"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "found: no lab named 'not-raised'",
        "expected: a raised lab",
        "next step: make lab-up LAB_NAME=not-raised",
    ]


def test_hosts_are_reached_through_the_labs_own_ports_and_keys(script: ModuleType, tmp_path: Path) -> None:
    raise_lab(tmp_path, "one", ["mirror", "registry", "gpu-host", "windows-host"])
    found = script.inventory("one")
    guest, windows = (found["_meta"]["hostvars"][host] for host in ("gpu-host", "windows-host"))
    assert guest["ansible_port"] == PORTS["ssh"]
    assert str(tmp_path / "build" / "one" / "ssh" / "known_hosts") in guest["ansible_ssh_common_args"]
    assert windows["ansible_port"] == PORTS["winrm"]
    assert windows["ansible_winrm_ca_trust_path"] == str(tmp_path / "build" / "one" / "ca.pem")
    assert windows["ansible_winrm_scheme"] == "https"
    assert found["all"]["vars"]["site_public_https_port"] == PORTS["https"]


def test_a_lab_of_some_parts_has_only_their_hosts(script: ModuleType, tmp_path: Path) -> None:
    raise_lab(tmp_path, "half", ["mirror", "gpu-host"])
    found = script.inventory("half")
    assert found["gpu_hosts"]["hosts"] == ["gpu-host"]
    assert found["windows_hosts"]["hosts"] == []
    assert set(found["_meta"]["hostvars"]) == {"gpu-host"}


def test_no_secret_stands_in_the_inventory(script: ModuleType, tmp_path: Path) -> None:
    raise_lab(tmp_path, "one", ["gpu-host", "windows-host"])
    assert "password" not in json.dumps(script.inventory("one"))
