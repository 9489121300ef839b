"""How these tests run commands: as an operator's shell would, with every line kept in a log of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from tests.lab.names import ROOT

# Which part of these tests runs: each part has a lab and a folder of logs of its own, so that two can run at once.
PART = os.environ.get("E2E_PART", "e2e")
REPORTS = ROOT / "build" / "test-reports" / PART
_TAIL_LINES = 60
_number = count(1)
_RECAP = re.compile(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)
# What a caller's own `make`, lab, Ansible or virtual environment would otherwise hand down.
_FOREIGN = re.compile(r"(LAB|ANSIBLE|COMFYSTACK|PYTEST|MAKE|MFLAGS|INVENTORY$|PYTHON$|VIRTUAL_ENV$)")


@dataclass(frozen=True)
class Done:
    """A command that ended: exit code, stdout and stderr as they were interleaved, and where both are kept."""

    command: str
    code: int
    output: str
    log: Path

    def __str__(self) -> str:
        """What a failing assertion shows."""
        lines = self.output.splitlines()
        tail = "\n".join(lines[-_TAIL_LINES:])
        return f"`{self.command}` ended with {self.code}; last lines (all of them: {self.log}):\n{tail}"

    def ended_well(self) -> Done:
        """Itself, after failing the test where the command did not end with 0."""
        assert self.code == 0, str(self)
        return self

    def changed(self) -> dict[str, int]:
        """Host -> number of changes, from the last recap of Ansible's; fails the test where there is none."""
        recap = self.output.rpartition("PLAY RECAP")[2]
        found = {match[1]: int(match[3]) for match in _RECAP.finditer(recap)}
        assert found, f"no recap in the output: {self}"
        return found


def bare_environment(**more: str) -> dict[str, str]:
    """The caller's environment without anything that this repository's commands would take as a setting."""
    environment = {name: value for name, value in os.environ.items() if not _FOREIGN.match(name)}
    inside = str(Path(sys.executable).parent)
    places = [place for place in os.environ["PATH"].split(":") if place != inside]
    return {**environment, "PATH": ":".join(places), **more}


def run(
    title: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    seconds: float,
    folder: Path = ROOT,
) -> Done:
    """Runs `command` in `folder`; its output goes to build/test-reports/PART/NN-title.log as it comes.

    Past `seconds`, it and everything it started in its session is killed, and the test fails.
    """
    REPORTS.mkdir(parents=True, exist_ok=True)
    log = REPORTS / f"{next(_number):02}-{title}.log"
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    over = threading.Event()

    def end() -> None:
        over.set()
        os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(seconds, end)
    timer.start()
    lines: list[str] = []
    try:
        assert process.stdout is not None
        with log.open("w") as file:
            for line in process.stdout:
                lines.append(line)
                file.write(line)
                file.flush()
        code = process.wait()
    finally:
        timer.cancel()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    done = Done(" ".join(command), code, "".join(lines), log)
    assert not over.is_set(), f"killed after {seconds:.0f} s: {done}"
    return done
