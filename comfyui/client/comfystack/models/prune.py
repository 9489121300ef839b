"""What the chosen sets do not need: files of the lock's other sets, proved to be them, and what fetches left half."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from .lock import Known, Lock
from .store import Store


def unneeded(store: Store, lock: Lock, sets: Iterable[str]) -> list[Path]:
    """Never a file that the lock does not name, nor one with a locked name and another content."""
    kept = {entry.key for entry in lock.chosen(sets)}
    found: list[Path] = []
    for entry in lock.entries.values():
        found += [path for path in (store.part(entry), store.control(entry)) if path.is_file()]
        if entry.key in kept or entry.sha256 is None or entry.bytes is None:
            continue
        if store.state(Known(**vars(entry))) == "held":
            found.append(store.final(entry))
    return found
