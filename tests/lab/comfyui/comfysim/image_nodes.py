"""The image nodes, truly executed with Pillow."""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops, ImageOps, ImageSequence
from PIL.PngImagePlugin import PngInfo

from .folders import is_within, plain_path
from .node_run import NodeFunction, NodeResult, NodeRun
from .scaling import kontext_size, scale, size_of_area
from .values import Images, Masks

_EMPTY_MASK_SIZE = (64, 64)
_CHANNELS = {"red": "R", "green": "G", "blue": "B"}


def load_image(run: NodeRun, image: str) -> NodeResult:
    pictures: list[Image.Image] = []
    masks: list[Image.Image] = []
    with Image.open(run.setup.folders.annotated_file(image)) as file:
        for raw in ImageSequence.Iterator(file):
            frame = ImageOps.exif_transpose(raw)
            if pictures and frame.size != pictures[0].size:
                continue
            has_alpha = "A" in frame.getbands() or "transparency" in frame.info
            pictures.append(frame.convert("RGB"))
            alpha = frame.convert("RGBA").getchannel("A") if has_alpha else None
            masks.append(ImageChops.invert(alpha) if alpha else Image.new("L", _EMPTY_MASK_SIZE, 0))
    return NodeResult((Images(tuple(pictures)), Masks(tuple(masks))))


def load_image_mask(run: NodeRun, image: str, channel: str) -> NodeResult:
    pictures, masks = load_image(run, image).outputs
    if channel == "alpha":
        return NodeResult((masks,))
    frames = tuple(frame.getchannel(_CHANNELS[channel]) for frame in pictures.frames)
    return NodeResult((Masks(frames),))


def empty_image(run: NodeRun, width: int, height: int, batch_size: int = 1, color: int = 0) -> NodeResult:
    colour = (color >> 16 & 255, color >> 8 & 255, color & 255)
    return NodeResult((Images((Image.new("RGB", (width, height), colour),) * batch_size),))


def image_invert(run: NodeRun, image: Images) -> NodeResult:
    return NodeResult((Images(tuple(ImageOps.invert(frame) for frame in image.frames)),))


def image_scale(
    run: NodeRun, image: Images, upscale_method: str, width: int, height: int, crop: str
) -> NodeResult:
    """A width or height of 0 follows from the other one; 0 x 0 leaves the picture as it is."""
    if width == 0 and height == 0:
        return NodeResult((image,))
    old_width, old_height = image.size
    width = width or max(1, round(old_width * height / old_height))
    height = height or max(1, round(old_height * width / old_width))
    return NodeResult((scale(image, width, height, upscale_method, crop),))


def image_scale_by(run: NodeRun, image: Images, upscale_method: str, scale_by: float) -> NodeResult:
    width, height = (round(side * scale_by) for side in image.size)
    return NodeResult((scale(image, width, height, upscale_method, "disabled"),))


def image_scale_to_total_pixels(
    run: NodeRun, image: Images, upscale_method: str, megapixels: float, resolution_steps: int = 1
) -> NodeResult:
    width, height = size_of_area(*image.size, megapixels, resolution_steps)
    return NodeResult((scale(image, width, height, upscale_method, "disabled"),))


def flux_kontext_image_scale(run: NodeRun, image: Images) -> NodeResult:
    return NodeResult((scale(image, *kontext_size(*image.size), "lanczos", "center"),))


def image_batch(run: NodeRun, image1: Images, image2: Images) -> NodeResult:
    second = image2 if image2.size == image1.size else scale(image2, *image1.size, "bilinear", "center")
    return NodeResult((Images(image1.frames + second.frames),))


def save_image(run: NodeRun, images: Images, filename_prefix: str = "ComfyUI") -> NodeResult:
    return _save(run, images, filename_prefix, run.setup.folders.output, "output", 4)


def preview_image(run: NodeRun, images: Images) -> NodeResult:
    # The random part keeps a browser from showing an older preview of the same name.
    letters = "".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=5))  # noqa: S311 - a file name
    return _save(run, images, f"ComfyUI_temp_{letters}", run.setup.folders.temp, "temp", 1)


def save_image_websocket(run: NodeRun, images: Images) -> NodeResult:
    """Sent to the job's own socket, and kept nowhere."""
    for place, frame in enumerate(images.frames):
        run.report(place, len(images.frames), frame, whole=True)
    return NodeResult(())


def preview_any(run: NodeRun, source: Any = None) -> NodeResult:
    if source is None or isinstance(source, str | int | float | bool):
        text = str(source)
    else:
        try:
            text = json.dumps(source, indent=4, ensure_ascii=False)
        except TypeError:
            text = str(source)
    return NodeResult((text,), {"text": [text]})


def _save(run: NodeRun, images: Images, prefix: str, root: Path, kind: str, compression: int) -> NodeResult:
    folder, name, number, subfolder = _save_place(prefix, root, images.size)
    metadata = None
    if not run.setup.options.disable_metadata:
        metadata = PngInfo()
        metadata.add_text("prompt", json.dumps(run.graph))
        for key, value in (run.extra_pnginfo or {}).items():
            metadata.add_text(key, json.dumps(value))
    saved = []
    for place, frame in enumerate(images.frames):
        file = f"{name.replace('%batch_num%', str(place))}_{number + place:05}_.png"
        frame.save(folder / file, pnginfo=metadata, compress_level=compression)
        saved.append({"filename": file, "subfolder": subfolder, "type": kind})
    return NodeResult((images,), {"images": saved})


def _save_place(prefix: str, root: Path, size: tuple[int, int]) -> tuple[Path, str, int, str]:
    """(folder, file name stem, first free number, subfolder) for a prefix such as `edit/%year%_photo`."""
    normal = os.path.normpath(_with_variables(prefix, size))
    subfolder, name = os.path.split(normal)
    folder = root / subfolder
    if not is_within(root, folder):
        raise Exception(
            "**** ERROR: Saving image outside the output folder is not allowed."
            f"\n full_output_folder: {plain_path(folder)}\n         output_dir: {root}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    taken = [_number(file.name, name) for file in folder.iterdir()]
    return folder, name, max(taken, default=0) + 1, subfolder


def _number(file: str, name: str) -> int:
    """N of `name_N_....png`, else 0."""
    if not file.startswith(f"{name}_"):
        return 0
    digits = file[len(name) + 1 :].split(".")[0].split("_")[0]
    return int(digits) if digits.isdecimal() else 0


def _with_variables(prefix: str, size: tuple[int, int]) -> str:
    now = time.localtime()
    for name, value in {
        "width": str(size[0]),
        "height": str(size[1]),
        "year": str(now.tm_year),
        "month": f"{now.tm_mon:02}",
        "day": f"{now.tm_mday:02}",
        "hour": f"{now.tm_hour:02}",
        "minute": f"{now.tm_min:02}",
        "second": f"{now.tm_sec:02}",
    }.items():
        prefix = prefix.replace(f"%{name}%", value)
    return prefix


IMAGE_NODES: dict[str, NodeFunction] = {
    "LoadImage": load_image,
    "LoadImageOutput": load_image,
    "LoadImageMask": load_image_mask,
    "EmptyImage": empty_image,
    "ImageInvert": image_invert,
    "ImageScale": image_scale,
    "ImageScaleBy": image_scale_by,
    "ImageScaleToTotalPixels": image_scale_to_total_pixels,
    "FluxKontextImageScale": flux_kontext_image_scale,
    "ImageBatch": image_batch,
    "SaveImage": save_image,
    "PreviewImage": preview_image,
    "SaveImageWebsocket": save_image_websocket,
    "PreviewAny": preview_any,
}
