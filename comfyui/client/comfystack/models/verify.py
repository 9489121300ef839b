"""Every byte of what stands in the models folder, held against the lock."""

from __future__ import annotations

from collections.abc import Iterable

from . import header
from .display import Display
from .hashing import sha256
from .lock import Known
from .store import Store


def verify(store: Store, entries: Iterable[Known], display: Display, quick: bool = False) -> list[str]:
    """One sentence for each file that is not the locked one. `quick` believes the stamps; else all is read again."""
    return [found for entry in entries if (found := _finding(store, entry, display, quick))]


def _finding(store: Store, entry: Known, display: Display, quick: bool) -> str | None:
    state, path = store.state(entry), store.final(entry)
    if state == "absent":
        return f"{path}: not there; expected {entry.bytes} bytes; next step: comfystack models fetch"
    if quick and state == "held":
        return None
    if not path.is_file() or path.stat().st_size != entry.bytes:
        found = f"{path.stat().st_size} bytes" if path.is_file() else "no plain file"
        return f"{path}: {found}; expected {entry.bytes} bytes; next step: move it away, then fetch"
    digest = sha256(path, display.follow(f"hashing {entry.name}", entry.bytes))
    problem = f"SHA-256 {digest}" if digest != entry.sha256 else header.problem(path, entry.name)
    if problem:
        return f"{path}: {problem}; expected SHA-256 {entry.sha256}; next step: move it away, then fetch"
    store.stamp(entry, digest)
    return None
