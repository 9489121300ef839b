"""`python -m tests.lab up|down|status|reset|driver-update`: the simulated site, and what happens to it."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from docker.errors import DockerException

from . import driver, engine, site
from .console import LabError, say, warn
from .gpu.update import Wish
from .names import ROOT, from_environment


def _through_sudo() -> None:
    """Replaces this process by itself under sudo where the engine or its socket needs root."""
    usable = engine.SOCKET.exists() and engine.socket_is_ours()
    if os.geteuid() == 0 or usable or os.environ.get("DOCKER_HOST"):
        return
    command = engine.as_root([sys.executable, "-m", "tests.lab", *sys.argv[1:]])
    keep = [f"{name}={value}" for name, value in os.environ.items() if name.startswith("LAB_")]
    asking = subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode != 0
    if asking and not sys.stdin.isatty():
        raise LabError(
            found="an ordinary user, no Docker that answers, and a sudo that asks for a password without a terminal",
            expected="root, membership of the group 'docker', or sudo with a terminal to ask on",
            next_step="run the same command in a terminal, or as root",
        )
    say("root is needed for Docker Engine: going through sudo")
    os.chdir(ROOT)
    os.execvp(command[0], [command[0], *keep, *command[1:]])  # noqa: S606


def _give_back(folder: Path) -> None:
    """Under sudo, what was made in build/ belongs to the user who called."""
    owner = os.environ.get("SUDO_UID")
    if owner and os.geteuid() == 0 and folder.exists():
        for path in [folder.parent, folder, *folder.rglob("*")]:
            os.chown(path, int(owner), int(os.environ["SUDO_GID"]))


def main() -> int:
    """Exit codes: 0 done, 1 an error the operator has to settle (or, for status, a lab that is not up)."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description="The simulated site.")
    parser.add_argument("action", choices=["up", "down", "status", "reset", "driver-update"])
    parser.add_argument("--only", action="append", default=[], help="raise just this part (repeatable)")
    parser.add_argument("--version", default="", help="of the driver after its update; the next one")
    parser.add_argument("--renumber", action="store_true", help="the cards change their places")
    parser.add_argument("--drop", default="", help="a card that is gone afterwards")
    parser.add_argument("--fault", default="", help="what is wrong with the driver afterwards")
    arguments = parser.parse_args()
    try:
        names = from_environment()
        if not shutil.which("git"):
            raise LabError(
                "no git on PATH", "git, from which the sources are fetched", "install git and run again"
            )
        _through_sudo()
        if arguments.action in ("down", "reset"):
            site.down(names)
        if arguments.action in ("up", "reset"):
            site.up(names, set(arguments.only))
            _give_back(names.build)
        if arguments.action == "driver-update":
            wish = Wish(arguments.version, arguments.renumber, arguments.drop, arguments.fault)
            driver.update(names, site.card_file(), wish)
            _give_back(names.build)
        if arguments.action == "status":
            return site.status(names)
    except LabError as error:
        warn("not done")
        print(error, file=sys.stderr)
        return 1
    except DockerException as error:
        warn("not done")
        print(
            f"found: Docker Engine refused: {error}\nexpected: an engine that works\n"
            "next step: `make lab-reset` starts afresh; `docker info` shows the engine's own state",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        warn("interrupted; run the same command again, it continues")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
