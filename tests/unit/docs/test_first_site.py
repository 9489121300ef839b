"""docs/your-first-site.md, typed as it stands there as far as that goes without the site, and held to the code."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from . import pages
from .pages import ROOT
from .test_facts import TROUBLE, is_said

PAGE = ROOT / "docs" / "your-first-site.md"
_MODELS = yaml.safe_load((ROOT / "comfyui" / "models.lock.yml").read_text())
# The set that a deployment expects where the inventory names none.
LOCK = [_MODELS["files"][key] for key in _MODELS["sets"]["fp8-lightning"]]
POWERSHELL = "\n".join(block.text for block in pages.blocks(PAGE, "powershell"))
IIS = yaml.safe_load((ROOT / "roles" / "iis_gateway" / "vars" / "main.yml").read_text())


def block_with(words: str) -> str:
    """The one shell block of the page that has these words."""
    (found,) = [block.text for block in pages.blocks(PAGE, "sh") if words in block.text]
    return found


@dataclass(frozen=True)
class Controller:
    """A clone of the repository and a home folder, in which the page is typed."""

    clone: Path
    home: Path

    @property
    def site(self) -> Path:
        return self.clone / "inventories" / "mysite"

    @property
    def files(self) -> Path:
        return self.home / "comfystack" / "mysite"

    def type(self, text: str, answers: str = "", **environment: str) -> str:
        """What the lines print. `answers` is what they ask for, where no terminal is at hand."""
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "MAKE"))
        }
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=self.clone,
            env={**clean, "HOME": str(self.home), **environment},
            input=answers,
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,
            timeout=120,
        )
        assert done.returncode == 0, (text, done.stdout, done.stderr)
        return done.stdout


@pytest.fixture
def controller(tmp_path: Path) -> Controller:
    clone, home = tmp_path / "clone", tmp_path / "home"
    home.mkdir()
    # Copied, because what `make new-site` writes stands beside them.
    shutil.copytree(ROOT / "ansible", clone / "ansible")
    (clone / "inventories").mkdir()
    for name in ("Makefile", "comfyui", "roles"):
        (clone / name).symlink_to(ROOT / name)
    (clone / "build").mkdir()
    (clone / "build" / "venv").symlink_to(Path(sys.executable).parents[1])
    return Controller(clone, home)


def test_the_steps_from_the_questions_to_the_secrets_are_taken_as_they_stand(
    controller: Controller, tmp_path: Path
) -> None:
    said = controller.type(block_with("make new-site"))
    assert "inventories/mysite is written. Next:" in said

    editor = tmp_path / "editor"
    editor.write_text(f'#!/bin/sh\nsed -i \'s/"REPLACE-ME[^"]*"/"{"0" * 64}"/\' "$1"\n')
    editor.chmod(0o700)
    password, vault = block_with("vault-password\n"), block_with("ansible-vault edit")
    checked = "build/venv/bin/ansible-playbook -i inventories/mysite ansible/secrets.yml"
    assert "failed=0" in controller.type(password + vault + checked, EDITOR=str(editor))

    kept = controller.site / "group_vars" / "all" / "vault.yml"
    assert kept.read_text().startswith("$ANSIBLE_VAULT;")
    assert controller.files.stat().st_mode & 0o777 == 0o700
    assert (controller.files / "vault-password").stat().st_mode & 0o777 == 0o600


def test_without_the_password_or_with_another_one_ansible_says_what_the_pages_say(
    controller: Controller,
) -> None:
    controller.type(block_with("make new-site"))
    controller.type(block_with("vault-password\n") + block_with("ansible-vault edit"), EDITOR="true")
    (controller.home / "another").write_text("another")
    ping = "build/venv/bin/ansible -i inventories/mysite gpu_hosts -m ansible.builtin.ping 2>&1 || true"
    without, another = pages.table(TROUBLE, "what Ansible says", "cause and cure")
    said = controller.type(ping)
    assert pages.spans(without[0])[0] in said
    (row,) = [row for row in pages.table(PAGE, "what it says", "what it is") if "vault" in row[0]]
    assert pages.spans(row[0])[0] in said
    said = controller.type(ping, ANSIBLE_VAULT_PASSWORD_FILE=str(controller.home / "another"))
    assert pages.spans(another[0])[0] in said


@pytest.mark.skipif(not shutil.which("openssl"), reason="this machine has no openssl")
def test_the_certificates_line_makes_the_file_that_the_inventory_names(controller: Controller) -> None:
    controller.files.mkdir(parents=True)
    page = ROOT / "docs" / "certificates.md"
    (lines,) = [block.text for block in pages.blocks(page, "sh") if "openssl pkcs12" in block.text]
    request = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=a.example.org -days 9"
    controller.type(f"{request} -keyout privkey.pem -out fullchain.pem")
    controller.type(lines, answers="secret\nsecret\n")
    pfx = f"openssl pkcs12 -in {controller.files / 'site.pfx'} -clcerts -nokeys -passin pass:secret"
    fingerprint = "openssl x509 -noout -fingerprint -sha256"
    assert controller.type(f"{pfx} | {fingerprint}") == controller.type(f"{fingerprint} -in fullchain.pem")
    named = (ROOT / "ansible" / "site_template" / "group_vars" / "all" / "site.yml").read_text()
    assert "~/comfystack/mysite/winrm-ca.pem" in PAGE.read_text()
    assert "#   winrm-ca.pem " in named
    assert "/home/you/comfystack/mysite/site.pfx" in page.read_text()


def test_the_size_of_the_models_is_the_locks() -> None:
    gigabytes = sum(file["bytes"] for file in LOCK) / 1e9
    assert f"About {gigabytes:.0f} GB" in PAGE.read_text()


def test_windows_is_prepared_with_what_the_deployment_looks_for() -> None:
    for module in IIS["_iis_gateway_modules"]:
        assert module["file"] in POWERSHELL
        assert module["name"].removesuffix(" 3.0").removesuffix(" 2.1") in pages.prose(PAGE)
    assert f"Install-WindowsFeature {', '.join(IIS['_iis_gateway_features'])}\n" in POWERSHELL


def test_windows_opens_the_ports_that_the_inventory_then_names(controller: Controller) -> None:
    controller.type(block_with("make new-site"))
    groups = yaml.safe_load((controller.site / "hosts.yml").read_text())["all"]["children"]
    guest = groups["gpu_hosts"]["hosts"]["guest"]
    windows = groups["windows_hosts"]["hosts"]["windows"]
    # As role wsl_host makes it, so that its line takes the place of this one.
    address = f"listenaddress=0.0.0.0 listenport={guest['ansible_port']} "
    assert address in POWERSHELL
    opened = re.findall(r"-LocalPort (\d+) -RemoteAddress (\S+) ", POWERSHELL)
    controllers = {row[0]: row[2] for row in pages.table(PAGE, "machine", "what it is", "here")}["controller"]
    assert opened == [
        (str(port), controllers.strip("`")) for port in (windows["ansible_port"], guest["ansible_port"])
    ]
    assert f"IPAddress={windows['ansible_host']}" in POWERSHELL
    site = yaml.safe_load((controller.site / "group_vars" / "all" / "site.yml").read_text())
    assert f"listenaddress=127.0.0.1 listenport={site['site_edge_port']}\n" in POWERSHELL
    assert f"Stop-Website -Name {site['site_public_name']}\n" in POWERSHELL


def test_what_goes_back_is_what_the_roles_made() -> None:
    text = PAGE.read_text()
    firewall = (ROOT / "roles" / "iis_gateway" / "tasks" / "firewall.yml").read_text()
    (name,) = re.findall(r'name: "(ComfyStack) {{ item.name }}"', firewall)
    assert f"`{name} HTTP` and `{name} HTTPS`" in text
    root = yaml.safe_load((ROOT / "roles" / "site" / "defaults" / "main.yml").read_text())["site_root_dir"]
    for role, service in (
        ("edge_proxy", "edge"),
        ("api_service", "api"),
        ("comfyui_service", "comfyui-qwen"),
    ):
        assert f"{root}/{service}/compose.yml down" in text
        settings = (ROOT / "roles" / role / "vars" / "main.yml").read_text()
        assert f"{{{{ site_root_dir }}}}/{service}" in settings


SEEN = (
    "is written. Next:",
    "The service is at",
    "Nothing was changed. In the way",
    "CHECK: nothing was changed. A deployment would change:",
    "did not get healthy",
    "is under way",
)


@pytest.mark.parametrize("words", SEEN)
def test_the_lines_to_expect_are_those_that_are_printed(words: str) -> None:
    assert words in PAGE.read_text()
    assert is_said(words)
