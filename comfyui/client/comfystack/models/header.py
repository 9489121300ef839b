"""Whether a file begins as its name says: the sanity check of safetensors and GGUF, without reading the weights."""

from __future__ import annotations

import json
import struct
from pathlib import Path

# The format's own limit on its header (safetensors, `MAX_HEADER_SIZE`).
_LARGEST_HEADER = 100_000_000
_GGUF_VERSIONS = (2, 3)


def problem(file: Path, name: str) -> str | None:
    """Why `file` cannot be the `name` it is to become; None where nothing speaks against it."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        start = stream.read(24)
        if name.endswith(".gguf"):
            found = _gguf(start)
        else:
            (length,) = struct.unpack("<Q", start[:8]) if len(start) >= 8 else (0,)
            if 2 <= length <= min(_LARGEST_HEADER, size - 8):
                stream.seek(8)
                found = _safetensors(stream.read(length), size - 8 - length)
            else:
                found = f"its safetensors header would be {length} bytes long, in a file of {size}"
    # Asked last: a safetensors file begins with a number, whose bytes can be anything.
    return found and (_something_else(start) or found)


def _something_else(start: bytes) -> str | None:
    """What comes in a model's place now and then."""
    if start[:2] == b"PK" or start[:1] == b"\x80":
        return "it is a pickle (a PyTorch file), which runs code when it is loaded"
    if start.lstrip()[:1] == b"<" or start.startswith(b"version https://git-lfs"):
        return "it is a page of text, not a model"
    return None


def _gguf(start: bytes) -> str | None:
    if start[:4] != b"GGUF" or len(start) < 24:
        return "it does not begin as a GGUF file"
    version, tensors, _ = struct.unpack("<IQQ", start[4:24])
    if version not in _GGUF_VERSIONS or not 0 < tensors < 1_000_000:
        return f"its GGUF header names version {version} and {tensors} tensors"
    return None


def _safetensors(header: bytes, room: int) -> str | None:
    """The tensors must fill the rest of the file exactly, as the format demands."""
    try:
        tensors = json.loads(header)
        ends = [one["data_offsets"][1] for key, one in tensors.items() if key != "__metadata__"]
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return "its safetensors header is no list of tensors"
    if not ends or max(ends) != room:
        return f"its tensors end at {max(ends, default=0)}, its bytes at {room}"
    return None
