"""Pictures that a link leads to: each its owner's alone, and gone after a while."""

from __future__ import annotations

import re
import time
from pathlib import Path

from ..state import State

_ID = re.compile(r"[0-9a-f]{32}")


class Results:
    """Files in the service's own folder, which nobody else reads, and whose they are."""

    def __init__(self, state: State, folder: Path, seconds: int) -> None:
        self._state, self._folder, self.seconds = state, folder, seconds
        folder.mkdir(parents=True, exist_ok=True)

    def room(self, name: str) -> Path:
        """Where a picture stands, or will stand."""
        return self._folder / f"{name}.png"

    def keep(self, name: str, owner: str) -> None:
        """Opens the picture that is in its room to its owner."""
        expires = time.time() + self.seconds
        self._state.run("INSERT INTO results VALUES (?, ?, ?)", (name, owner, expires))

    def find(self, name: str, owner: str) -> Path | None:
        """The picture of this name, while it has not expired and for its owner."""
        if not _ID.fullmatch(name):
            return None
        rows = self._state.rows(
            "SELECT 1 FROM results WHERE name = ? AND owner = ? AND expires > ?", (name, owner, time.time())
        )
        file = self.room(name)
        return file if rows and file.is_file() else None

    def sweep(self, older_than: float) -> None:
        """Removes what has expired, and files that never got an owner within that many seconds."""
        now = time.time()
        for (name,) in self._state.rows("SELECT name FROM results WHERE expires <= ?", (now,)):
            self.room(str(name)).unlink(missing_ok=True)
        self._state.run("DELETE FROM results WHERE expires <= ?", (now,))
        kept = {str(name) for (name,) in self._state.rows("SELECT name FROM results")}
        for file in self._folder.iterdir():
            if file.stem not in kept and file.stat().st_mtime <= now - older_than:
                file.unlink(missing_ok=True)
