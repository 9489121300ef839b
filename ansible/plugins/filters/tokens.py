"""`unreadable_ends` and `ended`: what an inventory says of when its tokens end, by the tokens' names.

Both read it as the service api does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from comfystack import moments


def _end(token: dict[str, Any]) -> datetime | None:
    """None where nothing says when. An empty `expires:` says something, though nothing that can be read."""
    return moments.end_of(str(token["expires"])) if "expires" in token else None


def unreadable_ends(tokens: Sequence[dict[str, Any]]) -> list[str]:
    """One line for each token whose `expires` says nothing that can be understood."""
    found = []
    for token in tokens:
        try:
            _end(token)
        except ValueError:
            found.append(f"{token['name']}: {token['expires']!s}")
    return found


def ended(tokens: Sequence[dict[str, Any]], now: float | None = None) -> list[str]:
    """The names of the tokens whose end has passed, and when that was."""
    seconds = time.time() if now is None else now
    ends = [(str(token["name"]), _end(token)) for token in tokens]
    return [f"{name}, at {end.isoformat()}" for name, end in ends if end and end.timestamp() <= seconds]


class FilterModule:
    """What Ansible looks for in a file of filters."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        return {"unreadable_ends": unreadable_ends, "ended": ended}
