"""The roles' own refusals before anything is changed, through Ansible, on a host with the simulated driver."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab.gpu.cards import load
from tests.lab.names import ROOT
from tests.own_modules import PLUGINS
from tests.unit.roles import rendering

from .hosts import lay

# Each case is a host of one play, so that Ansible starts once for all of them.
PLAY = [
    {
        "hosts": "all",
        "connection": "local",
        "gather_facts": False,
        "environment": {"PATH": "{{ search_path }}"},
        "tasks": [
            {
                "name": "The role is asked",
                "ansible.builtin.include_role": {"name": "{{ role }}", "tasks_from": "{{ topic }}"},
            }
        ],
    }
]
# What a site must say of itself, whichever role asks.
SITE = {name: value for name, value in rendering.LEAST.items() if name.startswith("site_")}
DRIVER = {"role": "nvidia_runtime", "topic": "preflight/driver", "nvidia_runtime_mode": "native"}
QWEN = {"name": "NVIDIA GeForce RTX 3090", "variant": "fp8"}
TURBO = {"name": "NVIDIA GeForce RTX 3090"}
STRANGER = {"name": "NVIDIA GeForce RTX 4090"}
PIN = {
    "role": "gpu_pin",
    "topic": "preflight",
    "gpu_pin_mode": "native",
    "gpu_pin_services": {"comfyui-qwen": QWEN},
}
PLAN = {"comfyui-qwen": {**QWEN, "variant": "gguf-q4"}, "myia-turbo": TURBO}
# Case -> version of its host's driver, and its settings.
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "old": ("551.23", {**DRIVER, "nvidia_runtime_mode": "wsl"}),
    "old-with-older-cuda": ("551.23", {**DRIVER, "site_cuda_version": "12.8"}),
    "too-old-for-either": ("516.94", DRIVER),
    "new": ("580.97", DRIVER),
    "cpu-in-production": ("580.97", {**PIN, "gpu_pin_mode": "cpu"}),
    "cpu-on-trial": ("", {**PIN, "gpu_pin_mode": "cpu", "site_production": False}),
    # The first variant of the table, and not whatever a dictionary on its way to the host puts first.
    "no-variant": ("580.97", {**PIN, "gpu_pin_services": {"comfyui-qwen": {"name": QWEN["name"]}}}),
    "both-with-fp8": ("580.97", {**PIN, "gpu_pin_services": {"comfyui-qwen": QWEN, "myia-turbo": TURBO}}),
    "both-with-gguf": ("580.97", {**PIN, "gpu_pin_services": PLAN}),
    "no-such-card": ("580.97", {**PIN, "gpu_pin_services": {"comfyui-qwen": QWEN, "studio": STRANGER}}),
    "no-such-card-left-out": (
        "580.97",
        {**PIN, "gpu_pin_services": {"comfyui-qwen": QWEN, "studio": STRANGER}, "gpu_pin_leave_out": True},
    ),
}
LINUX_DRIVER: dict[str, tuple[str, dict[str, Any]]] = {
    "guest": ("580.97", {**DRIVER, "nvidia_runtime_mode": "wsl"}),
    "linux": ("580.97", DRIVER),
}
# A play of their own: Ansible takes includes of one role together, whichever file of it each host names.
TOOLKIT: dict[str, tuple[str, dict[str, Any]]] = {
    version: ("", {**DRIVER, "topic": "preflight/toolkit", "nvidia_runtime_version": version})
    for version in ("1.19.1-1", "1.20.0-1")
}


def ask(room: Path, cases: dict[str, tuple[str, dict[str, Any]]], **extra: Any) -> dict[str, str]:
    """Case -> the message of its failed task, "" where none failed."""
    plain = load()
    hosts = {}
    for case, (version, settings) in cases.items():
        driver = dataclasses.replace(plain.driver, windows=version, guest=version)
        root = room / case
        if version:
            lay(dataclasses.replace(plain, mode="native", driver=driver), root)
        hosts[case] = {**settings, "search_path": f"{root / 'usr/bin'}:{os.environ['PATH']}"}
    (room / "play.yml").write_text(yaml.safe_dump(PLAY))
    (room / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": hosts, "vars": SITE}}))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(room),
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_CONFIG": str(PLUGINS.parent / "ansible.cfg"),
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
    }
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    done = subprocess.run(
        [program, "-i", str(room / "hosts.yml"), "-e", json.dumps(extra), str(room / "play.yml")],
        cwd=ROOT / "ansible",
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.stdout.startswith("{"), done.stderr
    document, _ = json.JSONDecoder().raw_decode(done.stdout)
    messages = dict.fromkeys(cases, "")
    for task in document["plays"][0]["tasks"]:
        for case, result in task["hosts"].items():
            if result.get("failed"):
                messages[case] = " ".join(result["msg"].split())
    ran = {case for task in document["plays"][0]["tasks"] for case in task["hosts"]}
    assert ran == set(cases)
    return messages


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return ask(tmp_path_factory.mktemp("preflight"), CASES)


@pytest.mark.parametrize(
    "case",
    ["old-with-older-cuda", "new", "cpu-on-trial", "both-with-gguf", "no-variant", "no-such-card-left-out"],
)
def test_what_is_right_passes(said: dict[str, str], case: str) -> None:
    assert said[case] == ""


def test_a_driver_before_580_is_refused_with_the_cuda_that_would_fit(said: dict[str, str]) -> None:
    assert said["old"] == (
        "found: driver 551.23; expected: 580 or newer, for the CUDA 13.0 of the images' torch; next step: install "
        "NVIDIA's current driver on Windows, or set site_cuda_version to 12.8, whose torch runs with this one"
    )


def test_a_driver_too_old_for_either_is_offered_nothing_else(said: dict[str, str]) -> None:
    assert said["too-old-for-either"].endswith("next step: install NVIDIA's current driver")


def test_a_toolkit_that_fails_on_some_driver_layouts_is_refused(tmp_path: Path) -> None:
    said = ask(tmp_path, TOOLKIT)
    assert said["1.19.1-1"].startswith("found: nvidia_runtime_version 1.19.1-1; expected: 1.20 or newer")
    assert said["1.20.0-1"] == ""


def test_a_production_site_may_not_compute_without_a_card(said: dict[str, str]) -> None:
    wanted = "found: gpu_pin_mode cpu on a production site; expected: auto, wsl or native"
    assert said["cpu-in-production"].startswith(wanted)


def test_a_plan_that_does_not_fit_is_refused_with_what_does(said: dict[str, str]) -> None:
    message = said["both-with-fp8"]
    assert (
        "comfyui-qwen as fp8 22016 + myia-turbo as forge-sdxl-turbo 8192 + 512 in reserve = 30720" in message
    )
    assert "next step: choose what fits: comfyui-qwen as gguf-q4 (15020 MiB)" in message


def test_a_deployment_refuses_a_service_without_its_card(said: dict[str, str]) -> None:
    assert said["no-such-card"].startswith("studio: found: no card matches 'NVIDIA GeForce RTX 4090'")


def test_a_linux_driver_in_a_wsl_guest_is_refused_with_the_reason(tmp_path: Path) -> None:
    said = ask(tmp_path, LINUX_DRIVER, _nvidia_runtime_driver_packages=["nvidia-driver-550"])
    wanted = "found: nvidia-driver-550 in a WSL guest; expected: no Linux driver, because Windows"
    assert said["guest"].startswith(wanted)
    # On a Linux host it is what is wanted.
    assert said["linux"] == ""


@pytest.mark.parametrize(
    ("package", "hides"),
    [
        ("nvidia-driver-550", True),
        ("nvidia-driver", True),
        ("nvidia-utils-550", True),
        ("nvidia-open-580", True),
        ("libnvidia-compute-550", True),
        ("libcuda1", True),
        ("cuda-drivers-580", True),
        ("nvidia-container-toolkit", False),
        ("libnvidia-container1", False),
        ("cuda-toolkit-13-0", False),
        ("nvidia-modprobe", False),
    ],
)
def test_what_hides_the_driver_of_windows_is_known_by_its_package(package: str, hides: bool) -> None:
    facts = {"ansible_facts": {"packages": {package: [{"version": "1"}], "bash": [{"version": "5"}]}}}
    found = rendering.value("_nvidia_runtime_driver_packages", "nvidia_runtime", facts)
    assert found == ([package] if hides else [])


def test_every_cuda_that_a_site_can_choose_has_its_least_driver() -> None:
    specs = yaml.safe_load((ROOT / "roles/site/meta/argument_specs.yml").read_text())["argument_specs"]
    choices = set(specs["main"]["options"]["site_cuda_version"]["choices"])
    least = yaml.safe_load((ROOT / "roles/nvidia_runtime/vars/main.yml").read_text())
    assert choices == set(least["_nvidia_runtime_least_drivers"])


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _strings(one)


def test_dockers_options_have_one_writer() -> None:
    """Other roles hand theirs to it; NVIDIA's own tool would lay the file anew as a whole."""
    writers = set()
    for file in [*ROOT.glob("roles/*/tasks/**/*.yml"), *ROOT.glob("ansible/**/*.yml")]:
        for text in _strings(yaml.safe_load(file.read_text())):
            # A path or a command, and no message that names the file.
            if re.fullmatch(r"\S*/daemon\.json\S*", text) or "runtime configure" in text:
                writers.add(file.relative_to(ROOT).parts[1])
    assert writers == {"docker_engine"}
