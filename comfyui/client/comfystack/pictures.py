"""What needs Pillow, the extra `pictures`: a picture to try a service with, and a look at what comes back."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from .errors import InputError, UnexpectedAnswerError

if TYPE_CHECKING:
    from PIL.Image import Image


def needed() -> None:
    """Raises InputError where Pillow is not installed, before anything is sent."""
    try:
        import PIL  # noqa: F401
    except ImportError:
        raise InputError(
            "Pillow is not installed",
            "Pillow, which this reads pictures with",
            "install comfystack[pictures]",
        ) from None


def drawn(width: int = 512, height: int = 384) -> bytes:
    """A PNG with something to see in it: a disc on a slope of colours."""
    from PIL import Image, ImageDraw

    red = Image.linear_gradient("L").resize((width, height))
    image = Image.merge("RGB", (red, red.rotate(180), Image.new("L", (width, height), 90)))
    ImageDraw.Draw(image).ellipse((width // 4, height // 4, 3 * width // 4, 3 * height // 4), "orange")
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def opened(content: bytes) -> Image:
    """The decoded RGB picture."""
    from PIL import Image

    try:
        return Image.open(io.BytesIO(content)).convert("RGB")
    except (OSError, Image.DecompressionBombError) as error:
        raise UnexpectedAnswerError(
            f"the server's output cannot be decoded: {error}",
            "the picture that the workflow's SaveImage node wrote",
            "run it again; if it stays, check the server's disk",
        ) from None


def is_blank(picture: Image) -> bool:
    """Whether all of it has one colour, as of a picture that went wrong on the card."""
    return all(low == high for low, high in picture.getextrema())  # type: ignore[misc]
