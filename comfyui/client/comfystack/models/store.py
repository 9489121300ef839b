"""The models folder: what stands in it, what we know of it, and one fetch at a time."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import InputError
from .lock import Entry, Known

State = Literal["held", "unproved", "absent", "wrong"]
_STAMPS = ".comfystack-stamps.json"
_LOCK = ".comfystack-lock"


@dataclass(frozen=True)
class Store:
    """A folder with ComfyUI's layout."""

    folder: Path

    def final(self, entry: Entry) -> Path:
        """Where ComfyUI looks for it."""
        return self.folder / entry.folder / entry.name

    def part(self, entry: Entry) -> Path:
        """Its temporary name: beside the final one, so that the rename stays on one file system; no loader lists it."""
        return self.folder / entry.folder / f".{entry.name}.part"

    def control(self, entry: Entry) -> Path:
        """What aria2 notes about the part."""
        return self.folder / entry.folder / f".{entry.name}.part.aria2"

    def state(self, entry: Known) -> State:
        """By size and stamp alone: milliseconds for any number of gigabytes.

        held: hashed once, and neither size nor time changed since. unproved: the right size, never hashed by us.
        """
        try:
            found = self.final(entry).stat()
        except OSError:
            return "absent"
        if not self.final(entry).is_file() or found.st_size != entry.bytes:
            return "wrong"
        stamp = self._stamps().get(entry.place)
        if not stamp or [found.st_size, found.st_mtime_ns] != stamp[:2]:
            return "unproved"
        return "held" if stamp[2] == entry.sha256 else "wrong"

    def received(self, entry: Entry) -> int:
        """Bytes of the part that are on the disk; aria2 leaves holes where it has not been yet."""
        try:
            found = self.part(entry).stat()
        except OSError:
            return 0
        return min(found.st_blocks * 512, found.st_size)

    def stamp(self, entry: Known, digest: str) -> bool:
        """Notes that the file was hashed as it stands now; False where the folder takes no note."""
        found = self.final(entry).stat()
        stamps = {**self._stamps(), entry.place: [found.st_size, found.st_mtime_ns, digest]}
        target, part = self.folder / _STAMPS, self.folder / f"{_STAMPS}.part"
        try:
            part.write_text(json.dumps(stamps, indent=1) + "\n", encoding="utf-8")
            part.replace(target)
        except OSError:
            return False
        return True

    def drop_part(self, entry: Entry) -> None:
        """Removes what a transfer left: never anything under a final name."""
        self.part(entry).unlink(missing_ok=True)
        self.control(entry).unlink(missing_ok=True)

    def _stamps(self) -> dict[str, list[int | str]]:
        """An unreadable note is as good as none: the files are hashed again."""
        try:
            stamps = json.loads((self.folder / _STAMPS).read_text(encoding="utf-8"))
            return {str(key): list(value) for key, value in stamps.items()}
        except (OSError, ValueError, AttributeError, TypeError):
            return {}

    @contextmanager
    def locked(self) -> Iterator[int]:
        """Yields the lock's descriptor, which aria2 inherits: the lock holds until the last of them is gone."""
        try:
            handle = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise unwritable(self.folder, error) from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(handle, 20, 0).decode(errors="replace").strip() or "unknown"
            os.close(handle)
            raise InputError(
                f"another fetch (process {holder}) works in {self.folder}",
                "one at a time",
                "wait for it to end, then run this again; what it has fetched is not fetched twice",
            ) from None
        try:
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
            yield handle
        finally:
            os.close(handle)


def unwritable(path: Path, error: OSError) -> InputError:
    """The refusal of a folder that takes no file."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return InputError(
            f"no room left on the disk of {path}",
            "room for every file of the set",
            "make room (`comfystack models prune` shows what no set needs), then run this again: it goes on",
        )
    return InputError(
        f"{path} cannot be written to: {error.strerror}",
        "a folder that this user may write to",
        "run as its owner, or name another folder with --dir",
    )
