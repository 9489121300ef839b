"""The SHA-256 of a file, always of all of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

_CHUNK = 1 << 20  # stays in the processor's cache; larger ones were not faster


def sha256(file: Path, tell: Callable[[int], None] = lambda done: None) -> str:
    """Lower-case hexadecimal; `tell` gets the bytes read so far. Other threads run meanwhile: OpenSSL needs no GIL."""
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(_CHUNK))
    done = 0
    with file.open("rb", buffering=0) as stream:
        while count := stream.readinto(buffer):
            digest.update(buffer[:count])
            done += count
            tell(done)
    return digest.hexdigest()
