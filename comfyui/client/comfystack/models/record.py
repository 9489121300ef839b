"""An operator vouches for a file: its size and hash are written into the models lock, whose comments stay."""

from __future__ import annotations

import re
from pathlib import Path

from .. import output
from ..errors import InputError, WrongFileError
from . import header
from .display import Display
from .hashing import sha256
from .lock import Lock, read


def record(lock: Lock, key: str, file: Path, display: Display) -> tuple[int, str]:
    """Size and SHA-256 that were written. What is recorded already is never replaced."""
    entry = lock.entries.get(key)
    if entry is None:
        raise InputError(
            f"the models lock has no file {key!r}", f"one of {', '.join(lock.entries)}", "name one of them"
        )
    if entry.sha256 is not None:
        raise InputError(
            f"{entry.name} is recorded already: {entry.bytes} bytes with SHA-256 {entry.sha256}",
            "an entry without a hash",
            "nothing has to be done; to take another file, edit the lock by hand",
        )
    try:
        size = file.stat().st_size
        problem = header.problem(file, entry.name) if size else "it is empty"
        digest = sha256(file, display.follow(f"hashing {file.name}", max(size, 1)))
    except OSError as error:
        raise InputError(
            f"{file} cannot be read: {error.strerror}", f"the file {entry.name}", f"get it from {entry.url()}"
        ) from None
    if problem:
        raise WrongFileError(
            f"{file} is no {entry.name}: {problem}", "a whole model file", f"get it from {entry.url()}"
        )
    _write(lock.file, key, size, digest)
    return size, digest


def _write(file: Path, key: str, size: int, digest: str) -> None:
    text = file.read_text(encoding="utf-8")
    block = re.search(rf"(?m)^  {re.escape(key)}:\n(?:    .*\n?)+", text)
    new = block[0] if block else ""
    for name, value in (("bytes", str(size)), ("sha256", digest), ("verified", "operator")):
        new, count = re.subn(rf"(?m)^    {name}: (?:null|~)?$", f"    {name}: {value}", new)
        if count != 1:
            raise InputError(
                f"{file} has no line `{name}: null` below {key}",
                "the layout of comfyui/models.lock.yml",
                f"write it by hand: bytes: {size}, sha256: {digest}, verified: operator",
            )
    assert block
    output.write_atomically(file, (text[: block.start()] + new + text[block.end() :]).encode())
    read(file)
