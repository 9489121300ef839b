"""Wrong input ends with one message that says what was found, expected and next, before anything is changed."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.lab.names import ROOT, Names

from .engine_view import ask
from .running import Done, bare_environment, run
from .site import INVENTORY, Lab

SHORT_TOKEN = "too-short-to-be-a-token"  # noqa: S105 - that it is no good is the point
TWIN = "NVIDIA GeForce RTX 3090"
TWINS_SMI = "/usr/local/bin/two-of-a-kind"
VAE = "vae/qwen_image_vae.safetensors"
LORA = "loras/Qwen-Image-Edit-2509-Lightning-4steps-V1.0-bf16.safetensors"


@dataclass(frozen=True)
class Wrong:
    """One setting that is wrong, and words that the message must have about it."""

    variable: str
    value: object
    words: tuple[str, ...]

    @property
    def arguments(self) -> tuple[str, str]:
        return "-e", json.dumps({self.variable: self.value})


ALONE = {
    "a-card-that-is-there-twice": Wrong(
        "gpu_pin_nvidia_smi", TWINS_SMI, ("00000000:01:00.0", "00000000:02:00.0", "pci_bus_id")
    ),
    # A role's own conditions are not looked at on settings of a wrong form.
    "a-port-that-is-no-number": Wrong("site_edge_port", "abc", ("site_edge_port", "abc", "int")),
}
TOGETHER = {
    "a-card-that-is-not-there": Wrong(
        "gpu_pin_services",
        {"comfyui-qwen": {"name": "NVIDIA GeForce RTX 4090"}},
        ("'NVIDIA GeForce RTX 4090'", "NVIDIA GeForce RTX 3080", "NVIDIA GeForce RTX 3090"),
    ),
    # Two of one role.
    "an-edge-port-that-is-held": Wrong("site_edge_port", 8199, ("port 8199", "python3", "pid ")),
    "a-token-that-is-too-short": Wrong(
        "api_service_tokens", [{"name": "operator", "token": SHORT_TOKEN}], ("operator", "at least 32")
    ),
}
# What is wrong on the hosts.
ALSO = {
    "a-model-that-is-missing": (f"no file at /srv/models/{VAE}",),
    "a-model-that-is-cut-short": (f"100 bytes at /srv/models/{LORA}",),
    "a-wrong-windows-password": ("credentials were rejected", "ansible_password", "windows-host"),
}


@pytest.fixture(scope="module")
def awkward_guest(lab: Lab, deployed: Done) -> Iterator[Lab]:
    """A guest on which a program holds port 8199, and an nvidia-smi that tells of two cards with one name."""
    smi = f"exec /usr/lib/wsl/lib/nvidia-smi \"$@\" > >(sed 's/NVIDIA GeForce RTX 3080/{TWIN}/')"
    lab.guest(
        "awkward-guest",
        f"printf '%s\\n' '#!/bin/bash' {shlex.quote(smi)} >{TWINS_SMI}; chmod 755 {TWINS_SMI}\n"
        "systemd-run --unit squatter python3 -m http.server 8199\n"
        "until ss -Hltn 'sport = :8199' | grep -q .; do sleep 0.1; done",
    )
    yield lab
    lab.guest("guest-as-before", f"rm {TWINS_SMI}; systemctl stop squatter")


@pytest.fixture
def inventory(lab: Lab, deployed: Done, tmp_path: Path) -> Path:
    """The lab's inventory as a folder whose settings a test may spoil."""
    return copy_of_the_inventory(tmp_path)


def copy_of_the_inventory(room: Path) -> Path:
    folder = room / "inventory"
    shutil.copytree(ROOT / INVENTORY / "group_vars", folder / "group_vars")
    (folder / "lab.py").symlink_to(ROOT / INVENTORY / "lab.py")
    return folder


def spoil(file: Path, variable: str, value: str | None) -> None:
    """Gives one variable of a group_vars file another value, or takes its line out."""
    lines = file.read_text().splitlines()
    (at,) = [number for number, line in enumerate(lines) if line.startswith(f"{variable}:")]
    lines[at : at + 1] = [f"{variable}: {value}"] if value is not None else []
    file.write_text("\n".join(lines) + "\n")


def explained(done: Done, *words: str) -> None:
    """The command failed with a message of our usual form that has these words, and with no traceback."""
    assert done.code != 0, done
    assert "Traceback" not in done.output, done
    missing = [word for word in ("found: ", "expected: ", "next step: ", *words) if word not in done.output]
    assert not missing, f"the message says nothing of {missing}: {done}"


def refused_before_any_change(done: Done, *words: str) -> None:
    """Ansible ended in preflight with such a message, and no host was changed."""
    explained(done, *words)
    assert set(done.changed().values()) == {0}, done
    plays = yaml.safe_load((ROOT / "ansible" / "site.yml").read_text())
    acting = {play["name"] for play in plays if "roles" in play}
    begun = set(re.findall(r"^PLAY \[(.*)\]", done.output, re.MULTILINE))
    assert acting
    assert not acting & begun


@pytest.mark.parametrize("case", ALONE)
def test_a_wrong_setting_is_refused_before_anything_is_changed(awkward_guest: Lab, case: str) -> None:
    wrong = ALONE[case]
    refused_before_any_change(awkward_guest.play(case, *wrong.arguments), *wrong.words)


@pytest.fixture(scope="module")
def all_at_once(awkward_guest: Lab, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """A deployment with every wrong thing of TOGETHER and ALSO."""
    inventory = copy_of_the_inventory(tmp_path_factory.mktemp("all"))
    spoil(inventory / "group_vars" / "windows_hosts.yml", "ansible_password", "not-the-password")
    spoilt = f"cp -a /srv/models /srv/whole; cd /srv/models; rm {VAE}; truncate -s 100 {LORA}"
    awkward_guest.guest("models-spoilt", spoilt)
    try:
        settings = [word for wrong in TOGETHER.values() for word in wrong.arguments]
        # Else the missing one would be fetched.
        settings += ["-e", json.dumps({"comfyui_models_fetch": False})]
        return awkward_guest.play("all-at-once", *settings, inventory=str(inventory))
    finally:
        awkward_guest.guest("models-whole", "cp -a /srv/whole/. /srv/models/ && rm -r /srv/whole")


@pytest.mark.parametrize("case", [*TOGETHER, *ALSO])
def test_what_is_wrong_on_any_host_is_told_at_once(all_at_once: Done, case: str) -> None:
    """So that one more attempt is enough, and not one for each mistake."""
    refused_before_any_change(all_at_once)
    summary = all_at_once.output.rpartition("Nothing was changed.")[2]
    words = TOGETHER[case].words if case in TOGETHER else ALSO[case]
    missing = [word for word in words if word not in summary]
    assert not missing, f"the summary says nothing of {missing}: {all_at_once}"


def test_a_token_is_not_printed_even_where_it_is_refused(all_at_once: Done) -> None:
    assert SHORT_TOKEN not in all_at_once.output


def test_a_setting_that_is_missing_is_named(lab: Lab, inventory: Path) -> None:
    spoil(inventory / "group_vars" / "gpu_hosts.yml", "comfyui_service_models_dir", None)
    done = lab.play("missing-setting", inventory=str(inventory))
    refused_before_any_change(done, "comfyui_service_models_dir", str(inventory))


def test_a_lab_that_is_not_raised_is_no_site_without_hosts(lab: Lab) -> None:
    done = Lab(Names("not-raised")).play("lab-not-raised")
    explained(done, "no lab named 'not-raised'", "make lab-up LAB_NAME=not-raised")


def test_verify_says_that_the_tokens_file_is_missing(lab: Lab, deployed: Done) -> None:
    token = lab.build / "token"
    aside = token.rename(token.with_name("token-aside"))
    try:
        done = lab.make("token-missing", "verify")
    finally:
        aside.rename(token)
    explained(done, f"no token file {token}")


def test_a_port_that_is_taken_is_told_before_a_lab_is_begun(lab: Lab, deployed: Done) -> None:
    taken = json.loads((lab.build / "lab.json").read_text())["ports"]["https"]
    other = Names("port-taken")
    done = Lab(other).make("port-taken", "lab-up", LAB_HTTPS_PORT=str(taken))
    explained(done, f"port {taken}", "LAB_HTTPS_PORT")
    assert not any(ask("owned", other.lab).values())
    assert not other.build.exists()


def test_a_lab_name_that_docker_could_not_carry_is_refused() -> None:
    explained(Lab(Names("My Lab")).make("bad-lab-name", "deploy"), "LAB_NAME='My Lab'")
    assert not (ROOT / "build" / "My Lab").exists()


def test_a_python_that_is_too_old_is_told_before_anything_is_installed(tmp_path: Path) -> None:
    """In a checkout that has no tools yet."""
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    for name in ("Makefile", "pyproject.toml", "ansible", "comfyui", "inventories", "roles", "tests"):
        (checkout / name).symlink_to(ROOT / name)
    old = tmp_path / "python3.9"
    old.write_text('#!/bin/sh\ncase "$1" in --version) echo "Python 3.9.2" ;; *) exit 1 ;; esac\n')
    old.chmod(0o755)
    done = run("python-too-old", ["make", "deploy"], bare_environment(PYTHON=str(old)), 60, folder=checkout)
    explained(done, "Python 3.9.2", "Python 3.11 or newer", "PYTHON=")
    assert not (checkout / "build").exists()
    assert os.access(ROOT / "build" / "venv" / "bin" / "python", os.X_OK)
