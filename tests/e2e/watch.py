"""Watching what processes are told when they start, here or on the Docker host, while something else goes on."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from . import look
from .needles import Wanted, as_line

SOURCE = Path(look.__file__).read_text()
# Several times what a loaded machine takes to look once: it ends what sees nothing.
PATIENCE_SECONDS = 120
Finding = tuple[str, str, str]


@dataclass
class Watch:
    """What was found up to now: secret, "arguments" or "environment", program. `seen` processes, once it is over."""

    process: subprocess.Popen[str]
    findings: list[Finding] = field(default_factory=list)
    seen: int = 0

    def take(self, line: str) -> None:
        answer = json.loads(line)
        if isinstance(answer, int):
            self.seen = answer
        else:
            secret, place, program = answer
            self.findings.append((secret, place, program))

    def wait_for_a_finding(self) -> None:
        """Returns with the next finding; fails the test where none is made."""
        assert self.process.stdout is not None
        end = threading.Timer(PATIENCE_SECONDS, self.process.kill)
        end.start()
        line = self.process.stdout.readline()
        end.cancel()
        assert line, f"nothing found in {PATIENCE_SECONDS} s"
        self.take(line)


@contextmanager
def watching(command: Sequence[str], wanted: Wanted) -> Iterator[Watch]:
    """Watches with `command`, which runs `look.py processes` somewhere, until the block ends."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    watch = Watch(process)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(as_line(wanted))
        process.stdin.flush()
        first = process.stdout.readline()
        while first and json.loads(first) != "looking":
            watch.take(first)
            first = process.stdout.readline()
        assert first, f"{command[0]} cannot look at processes"
        yield watch
    finally:
        process.stdin.close()
        for line in process.stdout:
            watch.take(line)
        process.wait()
