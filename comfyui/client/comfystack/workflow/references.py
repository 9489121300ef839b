"""Which pictures the old samplers and encoders are shown, wherever in the graph they come from."""

from __future__ import annotations

from typing import Any

from . import legacy
from .fixed import Fixed, Link, is_link

MAX_IMAGES = 3  # of TextEncodeQwenImageEditPlus
PICTURES = ("image", "image1", "image2", "image3", "images", "reference_image", "style_image")


def behind(work: Fixed, link: Any, seen: tuple[str, ...] = ()) -> list[Link]:
    """The pictures that a link stands for: through latents made of them, and apart where they were batched."""
    if not is_link(link) or str(link[0]) not in work.graph or link[0] in seen:
        return []
    node = work.graph[str(link[0])]
    class_type, inputs, seen = node["class_type"], node["inputs"], (*seen, link[0])
    if class_type in (legacy.IMAGE_TO_LATENT, "VAEEncode"):
        return behind(work, inputs.get("pixels") or inputs.get("images") or inputs.get("image"), seen)
    if class_type == "ImageBatch":
        return [picture for name in ("image1", "image2") for picture in behind(work, inputs.get(name), seen)]
    known = class_type in work.contract.classes
    outputs = work.contract.outputs(class_type) if known else []
    return [link] if link[1] < len(outputs) and outputs[link[1]] == "IMAGE" else []


def native_samplers_of(work: Fixed, encoders: list[str]) -> list[str]:
    """The KSampler nodes that are fed by encoders which are to be translated."""
    return [
        node
        for node, fields in work.graph.items()
        if fields["class_type"] == "KSampler"
        and any(
            is_link(fields["inputs"].get(side)) and str(fields["inputs"][side][0]) in encoders
            for side in ("positive", "negative")
        )
    ]


def pictures_of(work: Fixed, sampler: str) -> list[Link]:
    """What a sampler is shown, each once: its own images, the latent's, and those of its encoders."""
    inputs = work.graph[sampler]["inputs"]
    links = [inputs.get(name) for name in (*PICTURES, "latent_image")]
    for side in ("positive", "negative"):
        encoder = inputs.get(side)
        if is_link(encoder) and str(encoder[0]) in work.graph:
            links += [work.graph[str(encoder[0])]["inputs"].get(name) for name in PICTURES]
    found: list[Link] = []
    for link in links:
        found += [picture for picture in behind(work, link) if picture not in found]
    if len(found) > MAX_IMAGES:
        work.refuse(sampler, f"it is given {len(found)} images, and the model takes {MAX_IMAGES} at most")
    return found


def show_to_encoders(work: Fixed, shown: dict[str, list[Link]]) -> None:
    """Each sampler's pictures become the references of its two encoders."""
    for sampler, pictures in shown.items():
        for side in ("positive", "negative"):
            link = work.graph[sampler]["inputs"].get(side)
            node = work.graph.get(str(link[0])) if is_link(link) else None
            if node is None or node["class_type"] not in legacy.ENCODERS:
                continue
            for name in PICTURES:
                node["inputs"].pop(name, None)
            # `text` marks the node as one to be translated, whatever it called its prompt.
            node["inputs"].setdefault("text", node["inputs"].get("prompt", ""))
            node["inputs"] |= {f"image{number}": picture for number, picture in enumerate(pictures, 1)}
