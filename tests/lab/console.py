"""What the lab says to the operator: progress as it happens, and errors that name the next step."""

from __future__ import annotations

import sys


class LabError(Exception):
    """Something the operator has to settle. The text says what was found, expected, and what to do next."""

    def __init__(self, found: str, expected: str, next_step: str) -> None:
        super().__init__(f"found: {found}\nexpected: {expected}\nnext step: {next_step}")


def say(text: str) -> None:
    """One line of progress, flushed at once so that a pipe shows it too."""
    print(f"lab: {text}", flush=True)


def warn(text: str) -> None:
    """One line on stderr that does not stop the work."""
    print(f"lab: warning: {text}", file=sys.stderr, flush=True)
