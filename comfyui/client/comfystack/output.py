"""A file that is there whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from .errors import InputError


def check_target(path: Path) -> None:
    """Refuse an output path that cannot be written, before a minute of GPU time is spent on it."""
    if path.is_dir():
        raise InputError(f"{path} is a folder", "a file to write", "name a file in it with --out")
    folder = path.parent
    if not folder.is_dir():
        raise InputError(
            f"the folder {folder} does not exist",
            "an existing folder for --out",
            "create it or correct --out",
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"the folder {folder} cannot be written to", "a writable folder", "correct --out")


def write_atomically(path: Path, content: bytes) -> None:
    """Write beside the target and rename; an existing file is replaced, a failure leaves it as it was."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    except OSError as error:
        raise _unwritable(path, error) from None
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes 0600; a picture gets the mode that any new file of this user gets.
        mask = os.umask(0)
        os.umask(mask)
        part.chmod(0o666 & ~mask)
        part.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from None
    finally:
        part.unlink(missing_ok=True)


def _unwritable(path: Path, error: OSError) -> InputError:
    return InputError(f"{path} cannot be written: {error.strerror}", "a writable file", "correct --out")
