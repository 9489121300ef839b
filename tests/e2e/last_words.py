"""What a check says at its end, as these tests read it."""

from __future__ import annotations

from .running import Done

CHANGES = "CHECK: nothing was changed. A deployment would change:"
UNFORESEEN = "What these would do cannot be foreseen by a check:"


def told(done: Done, heading: str) -> list[str]:
    """The lines under one of the headings of a check's last words."""
    lines = done.ended_well().output.partition("PLAY RECAP")[2].splitlines()
    if heading not in lines:
        return []
    below = lines[lines.index(heading) + 1 :]
    end = next((n for n, line in enumerate(below) if not line.startswith("  ")), len(below))
    return [line.strip() for line in below[:end]]
