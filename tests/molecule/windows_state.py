"""`python -m tests.molecule.windows_state LAB`: one line that stands for all that the lab's Windows host remembers.

Two equal lines: nothing was changed in between. Its files and its state count, the passage of Ansible's own
temporary files does not.
"""

from __future__ import annotations

import sys

import docker

from tests.lab.names import Names

_SCRIPT = (
    "cd /var/lib/winsim && find . -type f -not -path '*ansible-tmp*' -print0 | sort -z"
    " | xargs -0 sha256sum | sha256sum | cut -c1-64"
)


def digest(lab: str) -> str:
    """The line for the running lab `lab`."""
    machine = docker.from_env().containers.get(Names(lab).container("windows-host"))
    done = machine.exec_run(["bash", "-euo", "pipefail", "-c", _SCRIPT])
    output = b"".join([done.output] if isinstance(done.output, bytes) else done.output).decode().strip()
    if done.exit_code != 0:
        sys.exit(f"found: the state of Windows cannot be read: {output}\nexpected: a running lab")
    return output


if __name__ == "__main__":
    print(digest(*sys.argv[1:]))
