"""`wsl --exec`: a shell script in the guest, which here is another container. Files in the folder of vm.py carry it.

tests/lab/gpu_host/wsl_exec is the other side. Where the folder is not mounted, nobody is there, and a host key is all
that a first start would have said.
"""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path

from . import vm

SECONDS = 600.0


def run(script: bytes, arguments: list[str], folder: Path = vm.FOLDER) -> tuple[int, list[str]]:
    """Exit code and lines of `/bin/sh SCRIPT ARGUMENTS…`, run as root. 1 where the guest does not answer in time."""
    if not folder.is_dir():
        return 0, ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f nobody"]
    answer, request = folder / "answer", folder / "request"
    answer.unlink(missing_ok=True)
    fresh = folder / ".request"
    fresh.write_text(json.dumps({"script": base64.b64encode(script).decode(), "arguments": arguments}))
    fresh.replace(request)
    deadline = time.monotonic() + SECONDS
    while not answer.exists():
        if time.monotonic() > deadline:
            return 1, [f"the simulated guest did not answer within {SECONDS:.0f} s"]
        time.sleep(0.1)
    document = json.loads(answer.read_text())
    return int(document["code"]), str(document["said"]).splitlines()
