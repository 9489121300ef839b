"""Removes build/, everything that was generated: tools, keys, tokens, reports.

usage: clean.py [BUILD]

Refuses while something still needs it: a lab that stands, whose keys and ports are in there, or a deployment.
"""

from __future__ import annotations

import fcntl
import shutil
import sys
from pathlib import Path

BUILD = Path(__file__).resolve().parents[1] / "build"


def labs(build: Path) -> list[str]:
    """Names of the labs that were raised from here and not taken down: that would have removed their record."""
    return sorted(record.parent.name for record in build.glob("*/lab.json"))


def deploying(build: Path) -> list[str]:
    """Names of the sites whose deploy lock is held (ansible/deploy_lock.py)."""
    held = []
    for path in sorted(build.glob("*/deploy.lock")):
        with path.open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                held.append(path.parent.name)
    return held


def main(build: Path) -> int:
    """0 when build/ is gone, 1 where it is still needed or cannot be removed."""
    if sites := deploying(build):
        print(
            f"found: a deployment of {', '.join(sites)} is under way\nexpected: none\n"
            "next step: wait for it to end; nothing was removed",
            file=sys.stderr,
        )
        return 1
    if names := labs(build):
        steps = "; ".join(f"make lab-down LAB_NAME={name}" for name in names)
        print(
            f"found: a lab of this checkout still stands: {', '.join(names)}\n"
            "expected: none, because its keys and the record of what belongs to it are in build/\n"
            f"next step: {steps}; nothing was removed",
            file=sys.stderr,
        )
        return 1
    try:
        shutil.rmtree(build)
    except FileNotFoundError:
        print("clean: there is no build/")
        return 0
    except OSError as error:
        print(
            f"found: {error.filename} cannot be removed: {error.strerror}\n"
            "expected: files of the present user\nnext step: run again as the user who made them",
            file=sys.stderr,
        )
        return 1
    print("clean: build/ is gone; the next `make` installs its tools again")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if sys.argv[1:] else BUILD))
