"""aria2's note of a half-fetched file, held against what is on the disk.

aria2 writes the note once a second and when it ends. After a power cut, or a kill of everything at once, the note is
older than the file: pieces that are there would be fetched again, and pieces that never reached the disk be believed.
A file with holes says itself what was written. The note's layout is in aria2's manual, "Control File Format" of its
technical notes; the hash of the whole file has the last word in any case.
"""

from __future__ import annotations

import errno
import math
import os
import struct
from pathlib import Path

PIECE = 1 << 20  # aria2's default, `--piece-length`
_HEAD = struct.Struct(
    ">H4sIIQQI"
)  # version, extension, length of a torrent's hash, piece, total, uploaded, bitfield


def mend(part: Path, control: Path, total: int) -> None:
    """Writes the note anew from the file's holes; leaves both alone where the file system does not show any."""
    if not part.exists():
        return
    written = _written(part)
    if len(written) < 2 and not (written and written[0][0] > 0):
        return  # no hole inside: one connection, or a file system without holes
    old, piece, rest = _read(control, total)
    bits = bytearray(_length(total, piece))
    size = part.stat().st_size
    for index in range(math.ceil(total / piece)):
        begin, end = index * piece, min((index + 1) * piece, total)
        stretch = next((one for one in written if one[0] <= begin and end <= one[1]), None)
        if stretch is None:
            continue
        # A stretch that ends with the piece may end inside its last page.
        sure = stretch[1] > end or end == total == size
        if sure or old[index // 8] >> (7 - index % 8) & 1:
            bits[index // 8] |= 1 << (7 - index % 8)
    head = _HEAD.pack(1, bytes(4), 0, piece, total, 0, len(bits))
    control.write_bytes(head + bits + _in_flight(rest, bits))


def _written(part: Path) -> list[tuple[int, int]]:
    """The stretches of the file that are no holes; empty where the file system cannot tell."""
    found: list[tuple[int, int]] = []
    with part.open("rb") as stream:
        end = 0
        while True:
            try:
                begin = os.lseek(stream.fileno(), end, os.SEEK_DATA)
                end = os.lseek(stream.fileno(), begin, os.SEEK_HOLE)
            except OSError as error:
                return found if error.errno == errno.ENXIO else []
            found.append((begin, end))


def _read(control: Path, total: int) -> tuple[bytes, int, bytes]:
    """Bitfield, length of a piece, and what follows about pieces that were under way."""
    nothing = bytes(_length(total, PIECE)), PIECE, b""
    try:
        note = control.read_bytes()
        version, _, torrent, piece, whole, _, length = _HEAD.unpack_from(note)
    except (OSError, struct.error):
        return nothing
    bits = note[_HEAD.size : _HEAD.size + length]
    if (version, torrent, whole) != (1, 0, total) or not piece or len(bits) != _length(total, piece):
        return nothing
    return bits, piece, note[_HEAD.size + length :]


def _length(total: int, piece: int) -> int:
    """Bytes of a bitfield that has a bit for each piece."""
    return math.ceil(math.ceil(total / piece) / 8)


def _in_flight(rest: bytes, bits: bytearray) -> bytes:
    """The pieces that were under way, without those that turned out to be whole."""
    kept = []
    try:
        (count,) = struct.unpack_from(">I", rest)
        at = 4
        for _ in range(count):
            index, _, length = struct.unpack_from(">III", rest, at)
            one = rest[at : at + 12 + length]
            at += 12 + length
            if not bits[index // 8] >> (7 - index % 8) & 1:
                kept.append(one)
    except (struct.error, IndexError):
        kept = []
    return struct.pack(">I", len(kept)) + b"".join(kept)
