"""The simulated model's drawing: the same inputs give the same pixels, and every input shows in them.

The edit keeps the first reference picture recognisable, tints it (towards a colour the prompt names, if any),
and lays a pattern over it that follows from prompt, seed, steps, cfg, model and patches. Further reference
pictures appear as insets. Without a reference the background is a gradient.
"""

from __future__ import annotations

import hashlib
import re

from PIL import Image, ImageChops, ImageOps

_NAMED_COLOURS = {
    "red": (220, 40, 40),
    "green": (40, 180, 70),
    "blue": (50, 80, 230),
    "yellow": (240, 220, 50),
    "orange": (245, 145, 30),
    "purple": (140, 60, 190),
    "pink": (250, 130, 180),
    "brown": (130, 85, 45),
    "black": (15, 15, 15),
    "white": (245, 245, 245),
    "grey": (128, 128, 128),
    "gray": (128, 128, 128),
}
_TINT = 0.35
_PATTERN_STRENGTH = 56  # of 255: visible, and the picture under it stays recognisable
_INSET_SHARE = 4  # an inset is a quarter of the picture's width


def draw(
    size: tuple[int, int], references: tuple[Image.Image, ...], prompt: str, identity: str
) -> Image.Image:
    """The finished picture of `size`."""
    digest = hashlib.sha256(identity.encode()).digest()
    if references:
        picture = ImageOps.fit(references[0].convert("RGB"), size, Image.Resampling.BICUBIC)
    else:
        picture = _gradient(size, digest)
    picture = Image.blend(picture, Image.new("RGB", size, _tint(prompt, digest)), _TINT)
    picture = _overlay(picture, digest)
    for place, reference in enumerate(references[1:]):
        picture = _inset(picture, reference, place)
    return picture


def in_progress(finished: Image.Image, step: int, steps: int, identity: str) -> Image.Image:
    """What a preview shows after `step` of `steps`: the picture emerging from noise of its own colours."""
    digest = hashlib.sha256(f"{identity}/{step}".encode()).digest()
    coarse = Image.frombytes("RGB", (8, 4), (digest * 3)[:96]).resize(finished.size, Image.Resampling.NEAREST)
    return Image.blend(coarse, finished, step / steps)


def _tint(prompt: str, digest: bytes) -> tuple[int, int, int]:
    words = re.findall(r"[a-z]+", prompt.lower())
    named = [_NAMED_COLOURS[word] for word in words if word in _NAMED_COLOURS]
    return named[-1] if named else (digest[0], digest[1], digest[2])


def _gradient(size: tuple[int, int], digest: bytes) -> Image.Image:
    corners = Image.frombytes("RGB", (2, 2), digest[3:15])
    return corners.resize(size, Image.Resampling.BICUBIC)


def _overlay(picture: Image.Image, digest: bytes) -> Image.Image:
    cells = Image.frombytes("L", (8, 4), digest)
    rotated = cells.transpose(Image.Transpose.ROTATE_90) if digest[15] & 1 else cells
    mask = rotated.resize(picture.size, Image.Resampling.BICUBIC).point(
        [value * _PATTERN_STRENGTH // 255 for value in range(256)]
    )
    shifted = ImageChops.offset(ImageOps.invert(picture), digest[16] % 16, digest[17] % 16)
    return Image.composite(shifted, picture, mask)


def _inset(picture: Image.Image, reference: Image.Image, place: int) -> Image.Image:
    width = max(1, picture.width // _INSET_SHARE)
    height = max(1, picture.height // _INSET_SHARE)
    small = ImageOps.fit(reference.convert("RGB"), (width, height), Image.Resampling.BICUBIC)
    result = picture.copy()
    result.paste(small, (place * width, picture.height - height))
    return result
