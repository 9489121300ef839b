"""A deployment to a real site, as far as it comes without one: what is missing is told before anything is done."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from . import test_new_site
from .interface import ROOT
from .test_production import SECRETS as GOOD

BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Site:
    """An inventory of a site that does not exist, and the password of its Vault."""

    inventory: Path
    vault_password: Path

    @property
    def vault(self) -> Path:
        return self.inventory / "group_vars" / "all" / "vault.yml"

    @property
    def example(self) -> dict[str, str]:
        found: dict[str, str] = yaml.safe_load((self.inventory / "group_vars/vault.example.yml").read_text())
        return found

    def keep(self, secrets: dict[str, str], *, encrypted: bool = True) -> None:
        self.vault.write_text(yaml.safe_dump(secrets))
        if encrypted:
            self._run("ansible-vault", "encrypt", str(self.vault)).check_returncode()

    def deploy(self, *options: str) -> subprocess.CompletedProcess[str]:
        return self._run("ansible-playbook", "-i", str(self.inventory), "ansible/site.yml", *options)

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
            "ANSIBLE_CONFIG": str(ROOT / "ansible" / "ansible.cfg"),
            "ANSIBLE_VAULT_PASSWORD_FILE": str(self.vault_password),
        }
        return subprocess.run(
            [BIN / program, *arguments],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "inventories").mkdir()
    # Nothing listens on port 1 of this machine: the hosts cannot be reached, and no foreign one is asked.
    assert test_new_site.run(tmp_path / "inventories", GUEST="me@127.0.0.1:1", WINDOWS="me@127.0.0.1:1") == 0
    password = tmp_path / "vault-password"
    password.write_text("open sesame\n")
    password.chmod(0o600)
    return Site(tmp_path / "inventories" / "studio", password)


def message(done: subprocess.CompletedProcess[str]) -> str:
    """What the deployment said at its end; it must have changed nothing."""
    said = done.stdout + done.stderr
    assert done.returncode != 0, said
    assert "Traceback" not in said
    assert set(re.findall(r"changed=(\d+)", said)) <= {"0"}, said
    return said


@pytest.mark.parametrize("options", [[], ["--limit", "windows"]], ids=" ".join)
def test_without_a_vault_it_says_which_secrets_are_missing_and_what_to_type(
    site: Site, options: list[str]
) -> None:
    said = message(site.deploy(*options))
    assert f"found: no value for {', '.join(sorted(GOOD))}" in said
    assert "studio/group_vars/vault.example.yml" in said
    assert "`build/venv/bin/ansible-vault encrypt " in said
    # Before any host is asked: the password of the connection is one of the secrets.
    assert "The guest answers" not in said


def test_placeholders_empty_values_and_clear_text_are_refused_together(site: Site) -> None:
    site.keep(
        {**site.example, "vault_windows_password": "", "vault_another_password": "xyzzy-plugh"},
        encrypted=False,
    )
    said = message(site.deploy())
    assert "no value of your own for vault_edge_token_operator, vault_windows_password" in said
    assert "studio/group_vars/all/vault.yml in clear text" in said
    assert "xyzzy-plugh" not in said


def test_an_encrypted_placeholder_is_refused_too(site: Site) -> None:
    site.keep({**GOOD, "vault_edge_token_operator": site.example["vault_edge_token_operator"]})
    said = message(site.deploy())
    assert "no value of your own for vault_edge_token_operator\n" in said
    assert "next step: `build/venv/bin/ansible-vault edit " in said


def test_with_its_secrets_it_goes_on_to_the_hosts_and_says_which_one_does_not_answer(site: Site) -> None:
    site.keep(GOOD)
    said = message(site.deploy())
    assert "found: no working SSH connection to guest" in said
    assert "expected: SSH as me at" in said
    assert not [secret for secret in GOOD.values() if secret in said]


def test_a_vault_that_cannot_be_opened_is_said_in_one_line(site: Site) -> None:
    site.keep(GOOD)
    site.vault_password.write_text("wrong\n")
    said = message(site.deploy())
    assert "Decryption failed" in said
