"""What can go wrong on the way to a model file."""

from __future__ import annotations

from ..errors import ComfyError


class SourceError(ComfyError):
    """Where the file comes from cannot be reached, does not have it, or answers like something else."""

    exit_code = 8


class BusyError(SourceError):
    """The source asks to come back later (429, 5xx). `wait` is its Retry-After in seconds, None where it names none."""

    def __init__(self, found: str, expected: str, next_step: str, wait: float | None) -> None:
        super().__init__(found, expected, next_step)
        self.wait = wait
