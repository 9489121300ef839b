"""Uploaded pictures looked at before ComfyUI gets them: it takes any file, and fails when the job runs."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass

from PIL import Image

from .refusals import wrong

# The decoders that foreign bytes reach.
FORMATS = ("PNG", "JPEG", "WEBP")
_ORIENTATION = 0x0112
_LYING_DOWN = (5, 6, 7, 8)


@dataclass(frozen=True)
class Picture:
    """A whole picture: its bytes as they came, the ending that fits them, and its size as it is shown."""

    content: bytes
    suffix: str
    size: tuple[int, int]


def looked_at(content: bytes, param: str, most_pixels: int) -> Picture:
    """Decodes all of it, which takes a while: not for the event loop. Raises Refused."""
    image = _opened(content, param, most_pixels)
    kind = str(image.format)
    # A second frame would become a second picture of the job, and a small file can have thousands.
    if kind != "MPO" and getattr(image, "n_frames", 1) > 1:
        raise wrong(param, f"{param} is an animation; expected one picture", "invalid_image")
    width, height = image.size
    if _decoded(image, param).getexif().get(_ORIENTATION) in _LYING_DOWN:
        width, height = height, width
    return Picture(content, "jpg" if kind in ("JPEG", "MPO") else kind.lower(), (width, height))


def repainted(content: bytes, size: tuple[int, int], most_pixels: int) -> bytes:
    """OpenAI's mask, whose fully transparent parts are to be edited, as the workflow wants it: those parts white."""
    image = _opened(content, "mask", most_pixels)
    if image.format != "PNG" or not image.has_transparency_data:
        message = "the mask is no PNG with transparency; expected one that is transparent where to edit"
        raise wrong("mask", message, "invalid_image")
    if image.size != size:
        found = (
            f"the mask has {image.size[0]} x {image.size[1]} pixels, the first image {size[0]} x {size[1]}"
        )
        raise wrong("mask", f"{found}; expected the same", "invalid_image")
    alpha = _decoded(image, "mask").convert("RGBA").getchannel("A")
    area = alpha.point([255] + [0] * 255)
    if area.getbbox() is None:
        raise wrong(
            "mask", "nothing of the mask is fully transparent: nothing would be edited", "invalid_image"
        )
    buffer = io.BytesIO()
    area.convert("RGB").save(buffer, "PNG")
    return buffer.getvalue()


def _opened(content: bytes, param: str, most_pixels: int) -> Image.Image:
    with warnings.catch_warnings():
        # Its size is compared below, with our own limit.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            image = Image.open(io.BytesIO(content), formats=FORMATS)
        except Image.DecompressionBombError:
            raise _too_many(param, "far more pixels", most_pixels) from None
        except Exception:  # Whatever a decoder does with bytes that are none of its format.
            message = f"{param} is not a picture; expected PNG, JPEG or WebP"
            raise wrong(param, message, "invalid_image") from None
    if image.width * image.height > most_pixels:
        raise _too_many(param, f"{image.width} x {image.height} pixels", most_pixels)
    return image


def _decoded(image: Image.Image, param: str) -> Image.Image:
    try:
        image.load()
    except Exception:
        raise wrong(param, f"{param} is a picture that is damaged or cut short", "invalid_image") from None
    return image


def _too_many(param: str, found: str, most: int) -> Exception:
    return wrong(param, f"{param} has {found}; expected: at most {most}", "image_too_large")
