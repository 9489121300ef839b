"""Reads a model file just far enough to know it is one: an error page under a model's name must fail."""

from __future__ import annotations

import json
from pathlib import Path

_LONGEST_HEADER = 100_000_000
_GGUF_MAGIC = b"GGUF"


class WeightsFileError(ValueError):
    """The file is no usable model file; the message says what was found."""


def check_weights_file(file: Path) -> None:
    """Raises WeightsFileError unless the file is a whole safetensors or a GGUF file.

    Pickled formats (.ckpt, .pt, .bin ...) are taken as they are: opening one would run its code.
    """
    suffix = file.suffix.lower()
    if suffix in (".safetensors", ".sft"):
        _check_safetensors(file)
    elif suffix == ".gguf":
        with file.open("rb") as stream:
            magic = stream.read(4)
        if magic != _GGUF_MAGIC:
            raise WeightsFileError(f"GGUF magic invalid\n\nFile path: {file}\n\nfound {magic!r}")


def _check_safetensors(file: Path) -> None:
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > _LONGEST_HEADER:
            raise _broken(file, "header too large", "it is not a safetensors file")
        if 8 + length > size:
            raise _broken(file, "invalid header length", "the file is cut off or not a safetensors file")
        try:
            header = json.loads(stream.read(length))
            ends = [entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise _broken(file, "invalid header", str(error)) from error
    if max(ends, default=0) != size - 8 - length:
        raise _broken(
            file,
            "incomplete metadata, file not fully covered",
            f"{size - 8 - length} bytes of tensors, the header promises {max(ends, default=0)}",
        )


def _broken(file: Path, what: str, found: str) -> WeightsFileError:
    return WeightsFileError(
        f"Error while deserializing header: {what}\n\nFile path: {file}\n\n"
        f"The safetensors file is corrupt or incomplete: {found}. Fetch it again."
    )
