"""What a failed verify prints goes into tickets and chat windows: it names no token."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.names import ROOT

NOBODYS = "-".join(("a", "token", "that", "nobody", "may", "read"))
DOOR = "tests/infra/test_public.py"


@pytest.mark.parametrize("options", [(), ("--tb=long", "--showlocals", "-vv")])
def test_a_failed_verify_shows_no_token(tmp_path: Path, options: tuple[str, ...]) -> None:
    token = tmp_path / "token"
    token.write_text(NOBODYS)
    with socket.socket() as held:
        # Bound and not listening: every connection is refused.
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        access = {
            "url": "https://nobody.test",
            "names": ["nobody.test"],
            "connect_to": {"nobody.test": f"127.0.0.1:{port}"},
            "ca_file": None,
            "token_file": str(token),
            "deployed": {"http_port": port, "max_upload_bytes": 1},
        }
        (tmp_path / "access.json").write_text(json.dumps(access))
        command = [
            sys.executable,
            "-m",
            "pytest",
            DOOR,
            "-p",
            "no:cacheprovider",
            "--inventory",
            "localhost,",
        ]
        done = subprocess.run(
            [*command, "--access", tmp_path / "access.json", *options],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "test_the_websocket_works_through_the_public_name" in done.stdout
    assert "ClientConnectorError" in done.stdout
    assert NOBODYS not in done.stdout + done.stderr


def test_a_site_without_a_card_has_the_rows_of_the_card_as_not_checked(tmp_path: Path) -> None:
    """And not as passed: somebody may take the report for that of a site with one."""
    token = tmp_path / "token"
    token.write_text(NOBODYS)
    access = {
        "url": "https://nobody.test",
        "names": ["nobody.test"],
        "connect_to": {},
        "ca_file": None,
        "token_file": str(token),
        "deployed": {"http_port": 80, "max_upload_bytes": 1, "pins": {"comfyui-qwen": {"mode": "cpu"}}},
    }
    (tmp_path / "access.json").write_text(json.dumps(access))
    inventory = tmp_path / "hosts.ini"
    inventory.write_text("[gpu_hosts]\nnobody ansible_connection=local\n")
    command = [sys.executable, "-m", "pytest", "tests/infra/test_gpu.py", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "--inventory", inventory, "--access", tmp_path / "access.json"],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible" / "ansible.cfg")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not checked here: gpu_pin_mode is cpu" in done.stdout
    assert "4 skipped in" in done.stdout
