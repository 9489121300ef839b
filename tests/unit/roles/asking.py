"""The preflight of hosts that do not exist, through Ansible: their settings are asked about on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from .interface import ROOT


def findings(room: Path, roles: Path, hosts: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Host -> what preflight finds in its settings. `roles` is what stands beside the playbooks' folder, in `room`."""
    (room / "ansible").mkdir()
    (room / "ansible" / "preflight").symlink_to(ROOT / "ansible" / "preflight")
    if roles != room / "roles":
        (room / "roles").symlink_to(roles)
    keep = {"content": "{{ preflight_findings | default([]) | to_json }}", "dest": "{{ kept }}"}
    tasks = [
        {"name": "Ask", "ansible.builtin.import_tasks": "preflight/host.yml"},
        {"name": "Keep", "ansible.builtin.copy": keep},
    ]
    play = room / "ansible" / "play.yml"
    play.write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    common = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "preflight_ping": "ansible.builtin.ping",
        "preflight_roles": [],
        "preflight_unreachable": "nobody there",
    }
    known = {host: {**common, **settings, "kept": str(room / host)} for host, settings in hosts.items()}
    inventory = room / "inventory.yml"
    inventory.write_text(yaml.safe_dump({"all": {"hosts": known}}))
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(inventory), str(play)]
    settings = {
        "ANSIBLE_CONFIG": str(ROOT / "ansible" / "ansible.cfg"),
        "ANSIBLE_ROLES_PATH": str(room / "roles"),
        # The filters read the client's package: this one, not the one that was installed last.
        "PYTHONPATH": str(ROOT / "comfyui" / "client"),
    }
    done = subprocess.run(
        command, env={**os.environ, **settings}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {host: json.loads((room / host).read_text()) for host in hosts}
