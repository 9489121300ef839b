"""The closing words of a deployment can be pasted, and carry no token."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.lab.names import ROOT

SCRIPT = ROOT / "ansible" / "access.py"


def words(access_file: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, access_file], capture_output=True, text=True, check=False)


@pytest.fixture
def facts(tmp_path: Path) -> dict[str, Any]:
    """Access facts of a site with a token in a folder that a shell would split."""
    token = tmp_path / "my site" / "token"
    token.parent.mkdir()
    token.write_text("0123456789abcdef" * 4)
    return {
        "url": "https://images.example.org",
        "names": ["images.example.org"],
        "connect_to": {},
        "ca_file": None,
        "token_file": str(token),
    }


def curl_line(facts: dict[str, Any], tmp_path: Path) -> str:
    file = tmp_path / "access.json"
    file.write_text(json.dumps(facts))
    done = words(file)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if "curl" in line]
    return line


def test_a_site_with_dns_and_a_public_certificate_needs_neither_address_nor_authority(
    facts: dict[str, Any], tmp_path: Path
) -> None:
    line = curl_line(facts, tmp_path)
    assert "--cacert" not in line
    assert "--connect-to" not in line
    assert line.endswith("https://images.example.org/system_stats")


def test_a_lab_is_reached_at_its_own_address_with_its_own_authority(
    facts: dict[str, Any], tmp_path: Path
) -> None:
    facts["connect_to"] = {"images.example.org": "127.0.0.1:8443"}
    facts["ca_file"] = "/srv/lab/ca.pem"
    arguments = shlex.split(curl_line(facts, tmp_path))
    assert arguments[arguments.index("--cacert") + 1] == "/srv/lab/ca.pem"
    assert arguments[arguments.index("--connect-to") + 1] == "images.example.org:443:127.0.0.1:8443"


def test_the_token_is_read_from_its_file_and_never_an_argument(facts: dict[str, Any], tmp_path: Path) -> None:
    line = curl_line(facts, tmp_path)
    token = Path(facts["token_file"]).read_text()
    assert token not in line
    before_curl = line.partition("|")[0]
    done = subprocess.run(["bash", "-c", before_curl], capture_output=True, text=True, check=True)
    assert done.stdout == f"Authorization: Bearer {token}"


def test_without_a_deployment_the_next_step_is_to_make_one(tmp_path: Path) -> None:
    done = words(tmp_path / "access.json")
    assert done.returncode == 1
    assert "found: no " in done.stderr
    assert "next step: make deploy" in done.stderr
