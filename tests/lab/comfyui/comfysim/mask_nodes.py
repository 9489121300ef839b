"""The mask nodes, truly executed with Pillow."""

from __future__ import annotations

from dataclasses import replace

from PIL import Image, ImageChops, ImageOps

from .node_run import NodeFunction, NodeResult, NodeRun
from .values import Images, Latent, Masks

_CHANNELS = {"red": "R", "green": "G", "blue": "B"}
_SIDES = ((0, 1), (0, -1), (1, 0), (-1, 0))
_CORNERS = ((1, 1), (1, -1), (-1, 1), (-1, -1))


def image_to_mask(run: NodeRun, image: Images, channel: str) -> NodeResult:
    if channel == "alpha":
        raise IndexError("index 3 is out of bounds for dimension 3 with size 3")
    return NodeResult((Masks(tuple(frame.getchannel(_CHANNELS[channel]) for frame in image.frames)),))


def grow_mask(run: NodeRun, mask: Masks, expand: int, tapered_corners: bool) -> NodeResult:
    """One pixel on every side for each of `expand`; a negative one shrinks. Tapered: corners do not grow."""
    ways = _SIDES if tapered_corners else _SIDES + _CORNERS
    return NodeResult((Masks(tuple(_grown(frame, expand, ways) for frame in mask.frames)),))


def _grown(frame: Image.Image, expand: int, ways: tuple[tuple[int, int], ...]) -> Image.Image:
    if expand < 0:
        return ImageOps.invert(_grown(ImageOps.invert(frame), -expand, ways))
    for _ in range(expand):
        width, height = frame.size
        shifted = [frame.crop((x, y, width + x, height + y)) for x, y in ways]
        for other in shifted:
            frame = ImageChops.lighter(frame, other)
    return frame


def set_latent_noise_mask(run: NodeRun, samples: Latent, mask: Masks) -> NodeResult:
    return NodeResult((replace(samples, mask=mask.frames[0]),))


def image_composite_masked(
    run: NodeRun,
    destination: Images,
    source: Images,
    x: int,
    y: int,
    resize_source: bool,
    mask: Masks | None = None,
) -> NodeResult:
    frames = []
    for place, ground in enumerate(destination.frames):
        over = source.frames[place % len(source.frames)]
        if resize_source:
            over = over.resize(ground.size, Image.Resampling.BILINEAR)
        picture = ground.copy()
        if mask is None:
            picture.paste(over, (x, y))
        else:
            area = mask.frames[place % len(mask.frames)].resize(over.size, Image.Resampling.BILINEAR)
            picture.paste(over, (x, y), area)
        frames.append(picture)
    return NodeResult((Images(tuple(frames)),))


MASK_NODES: dict[str, NodeFunction] = {
    "ImageToMask": image_to_mask,
    "GrowMask": grow_mask,
    "SetLatentNoiseMask": set_latent_noise_mask,
    "ImageCompositeMasked": image_composite_masked,
}
