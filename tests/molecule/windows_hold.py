"""`python -m tests.molecule.windows_hold LAB [FILE]`: a program on the lab's Windows host holds FILE, or nothing."""

from __future__ import annotations

import json
import sys

import docker

from tests.lab.names import Names

_PROGRAM = """
import json, pathlib, sys
from winsim.state import Store
with Store(pathlib.Path("/var/lib/winsim")).edit() as state:
    state.held_files = json.loads(sys.argv[1])
"""


def hold(lab: str, *files: str) -> None:
    """Makes `files` (Windows paths) the ones that cannot be replaced."""
    machine = docker.from_env().containers.get(Names(lab).container("windows-host"))
    done = machine.exec_run(["python3", "-c", _PROGRAM, json.dumps(files)], workdir="/opt/winsim")
    if done.exit_code != 0:
        sys.exit(f"found: {done.output!r}\nexpected: a running lab whose state can be edited")


if __name__ == "__main__":
    hold(*sys.argv[1:])
