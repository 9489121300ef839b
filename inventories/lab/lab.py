#!/usr/bin/env python3
"""Ansible inventory of the raised lab: the hosts, and how the controller reaches them.

What `make lab-up` wrote into build/<LAB_NAME>/lab.json decides; everything else about the lab's site
stands in group_vars/.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def inventory(name: str) -> dict[str, Any]:
    """The inventory of the lab `name`, in Ansible's JSON form. Exits with a message where it is not raised."""
    build = ROOT / "build" / name
    try:
        lab = json.loads((build / "lab.json").read_text())
    except FileNotFoundError:
        sys.exit(
            f"found: no lab named '{name}'\nexpected: a raised lab\nnext step: make lab-up LAB_NAME={name}"
        )
    hosts = {
        "gpu-host": {
            "ansible_host": lab["address"],
            "ansible_port": lab["ports"]["ssh"],
            "ansible_user": "siteadmin",
            "ansible_ssh_private_key_file": str(build / "ssh" / "siteadmin"),
            "ansible_ssh_common_args": f"-o UserKnownHostsFile={build / 'ssh' / 'known_hosts'}",
            # Of a real ComfyUI, where there is one.
            **lab.get("guest", {}),
        },
        "windows-host": {
            "ansible_connection": "winrm",
            "ansible_host": lab["address"],
            "ansible_port": lab["ports"]["winrm"],
            "ansible_user": "ansible",
            "ansible_winrm_scheme": "https",
            "ansible_winrm_transport": "ntlm",
            "ansible_winrm_ca_trust_path": str(build / "ca.pem"),
        },
    }
    if lab.get("windows") == "windows-11":
        # It comes from the shelf: the guest is made first.
        hosts["windows-host"]["wsl_host_mode"] = "provision"
    standing = {part: facts for part, facts in hosts.items() if part in lab["parts"]}
    shared = {
        "site_name": name,
        "site_build_dir": str(build),
        "site_public_address": lab["address"],
        "site_public_https_port": lab["ports"]["https"],
        "site_public_http_port": lab["ports"]["http"],
        # A lab of some parts only has no authority that could be asked.
        "lab_certificates": os.environ.get("LAB_CERTIFICATES")
        or ("acme" if "acme" in lab["parts"] else "pfx"),
    }
    return {
        "_meta": {"hostvars": standing},
        "all": {"vars": shared},
        "gpu_hosts": {"hosts": [part for part in standing if part == "gpu-host"]},
        "windows_hosts": {"hosts": [part for part in standing if part == "windows-host"]},
    }


if __name__ == "__main__":
    print(json.dumps(inventory(os.environ.get("LAB_NAME") or "lab"), indent=1))
