"""Resizing as ComfyUI's image nodes do it, including FluxKontextImageScale's list of sizes."""

from __future__ import annotations

import math

from PIL import Image

from .values import Images

# Pillow's filter for each method's name. Its results differ from torch's in the last bits, never in size.
_FILTERS = {
    "nearest-exact": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "area": Image.Resampling.BOX,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}

# The sizes (about one megapixel each) that Flux Kontext and Qwen-Image-Edit were trained on; (height, width)
# of each is in the list as well.
_KONTEXT_NARROW = (
    (672, 1568),
    (688, 1504),
    (720, 1456),
    (752, 1392),
    (800, 1328),
    (832, 1248),
    (880, 1184),
    (944, 1104),
)
KONTEXT_SIZES = (*_KONTEXT_NARROW, (1024, 1024), *((height, width) for width, height in _KONTEXT_NARROW))


def kontext_size(width: int, height: int) -> tuple[int, int]:
    """The listed size whose aspect ratio is nearest; the narrower one where two are equally near."""
    ratio = width / height
    _, best_width, best_height = min((abs(ratio - w / h), w, h) for w, h in KONTEXT_SIZES)
    return best_width, best_height


def scale(images: Images, width: int, height: int, method: str, crop: str) -> Images:
    """All frames at width x height; `center` first cuts the frame to the new aspect ratio."""
    box = _centre_box(images.size, width / height) if crop == "center" else None
    return Images(tuple(frame.resize((width, height), _FILTERS[method], box) for frame in images.frames))


def _centre_box(size: tuple[int, int], ratio: float) -> tuple[int, int, int, int]:
    width, height = size
    left = top = 0
    if width / height > ratio:
        left = round((width - width * (ratio / (width / height))) / 2)
    elif width / height < ratio:
        top = round((height - height * ((width / height) / ratio)) / 2)
    return left, top, width - left, height - top


def size_of_area(width: int, height: int, megapixels: float, multiple: int) -> tuple[int, int]:
    """The size of that area (1 megapixel = 1024 x 1024) and the same shape, in multiples of `multiple`."""
    factor = math.sqrt(megapixels * 1024 * 1024 / (width * height))
    return round(width * factor / multiple) * multiple, round(height * factor / multiple) * multiple


def latent_crop(images: Images) -> Images:
    """The centred part that a VAE with 8-pixel cells encodes."""
    width, height = images.size
    new_width, new_height = width // 8 * 8, height // 8 * 8
    if (new_width, new_height) == (width, height):
        return images
    left, top = width % 8 // 2, height % 8 // 2
    box = (left, top, left + new_width, top + new_height)
    return Images(tuple(frame.crop(box) for frame in images.frames))
