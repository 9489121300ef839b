"""What a file is, by its first and last bytes."""

from __future__ import annotations

import struct
from pathlib import Path

from .errors import InputError, UnexpectedAnswerError

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND\xaeB`\x82"


def suffix_of(content: bytes) -> str | None:
    """The file name ending for an image format that ComfyUI reads, or None."""
    if content.startswith(_PNG):
        return ".png"
    if content.startswith(b"\xff\xd8\xff"):
        return ".jpg"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return ".webp"
    if content.startswith((b"GIF87a", b"GIF89a")):
        return ".gif"
    if content.startswith((b"II*\x00", b"MM\x00*")):
        return ".tiff"
    if content.startswith(b"BM") and len(content) > 26:
        return ".bmp"
    return None


def read_image(image: str | Path | bytes) -> tuple[bytes, str]:
    """The content of an image file (or the bytes given) and the ending that fits it."""
    name = "the image" if isinstance(image, bytes) else str(image)
    if isinstance(image, bytes):
        content = image
    else:
        try:
            content = Path(image).read_bytes()
        except OSError as error:
            raise InputError(
                f"{name} cannot be read: {error.strerror}", "a readable image file", "correct the path"
            ) from None
    suffix = suffix_of(content)
    if suffix is None:
        heif = content[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypavif")
        what = "is empty" if not content else "is HEIC or AVIF" if heif else "is not an image"
        raise InputError(
            f"{name} {what}", "PNG, JPEG, WebP, GIF, BMP or TIFF", "convert it, for example to PNG"
        )
    return content, suffix


def png_size(content: bytes) -> tuple[int, int]:
    """Width and height of a complete PNG; a truncated or different file is an error."""
    whole = content.startswith(_PNG) and content[12:16] == b"IHDR" and _PNG_END in content[-64:]
    width, height = struct.unpack(">II", content[16:24]) if whole else (0, 0)
    if not width or not height:
        raise UnexpectedAnswerError(
            f"the server's output is not a complete PNG ({len(content)} bytes)",
            "the PNG that the workflow's SaveImage node wrote",
            "run it again; if it stays, check the server's disk",
        )
    return width, height
