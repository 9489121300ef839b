"""Rewrites graphs of the site's old notebooks into native ones, and refuses what cannot be."""

from __future__ import annotations

import copy
import secrets
from typing import Any

from ..errors import InputError
from ..events import Graph
from . import legacy
from .check import RENAMED, sources
from .contract import Contract
from .fixed import Fixed, Link, is_link
from .references import MAX_IMAGES, PICTURES, behind, native_samplers_of, pictures_of, show_to_encoders

DRAWN_SEEDS = 2**53  # seeds that stay exact in ComfyUI's own page, whose numbers are JavaScript's
_SAMPLING = ("seed", "steps", "cfg", "sampler_name", "scheduler", "denoise")


def fix(graph: Graph, contract: Contract) -> Fixed:
    """The graph with everything translated that can be. Raises InputError naming what cannot."""
    work = Fixed(copy.deepcopy(graph), contract)
    for node in list(work.graph):
        _rename_inputs(work, node)
    old = {node: work.graph[node]["class_type"] for node in work.graph if legacy.is_old(work.graph[node])}

    def of(*classes: str) -> list[str]:
        return [node for node, class_type in old.items() if class_type in classes]

    # References are followed through the old nodes, so they are looked up before any of these changes.
    samplers = [*of(*legacy.SAMPLERS), *native_samplers_of(work, of(*legacy.ENCODERS))]
    shown = {node: pictures_of(work, node) for node in samplers}
    show_to_encoders(work, shown)
    for node in of(legacy.LOADER, legacy.CHECKPOINT):
        _loader(work, node)
    for node in of(legacy.IMAGE_TO_LATENT):
        _image_to_latent(work, node)
    for node in of(legacy.EMPTY_LATENT):
        values = work.graph[node]["inputs"]
        work.become(node, "EmptySD3LatentImage", **{"batch_size": 1, **values})
    for node in of(*legacy.SAMPLERS):
        _sampler(work, node, shown[node])
    for node in of(*legacy.ENCODERS):
        _encoder(work, node)
    _drop_unused(work, graph)
    for node in work.graph:
        class_type = work.graph[node]["class_type"]
        if class_type not in contract.classes and class_type not in contract.only_named:
            work.refuse(
                node, legacy.UNTRANSLATABLE.get(class_type, "no native node is known to do what it does")
            )
    if work.refusals:
        raise InputError(
            f"the workflow cannot be translated: {'; '.join(work.refusals)}",
            "nodes of the site's old notebooks, or of this ComfyUI",
            "replace what is named in ComfyUI, or start from a shipped workflow (`comfystack workflow list`)",
        )
    return work


def _rename_inputs(work: Fixed, node: str) -> None:
    """Inputs under an earlier name, on nodes that stay what they are."""
    class_type, inputs = work.graph[node]["class_type"], work.graph[node]["inputs"]
    if legacy.is_old(work.graph[node]) or class_type not in work.contract.classes:
        return
    known = work.contract.inputs(class_type)
    for old in [name for name in inputs if name not in known]:
        new = RENAMED.get((class_type, old))
        if new and new not in inputs:
            inputs[new] = inputs.pop(old)
            work.changed(node, f"input {old} is called {new}")


def _loader(work: Fixed, node: str) -> None:
    """One name for everything becomes three loaders, and the sampling of that model with them."""
    inputs, is_checkpoint = work.graph[node]["inputs"], work.graph[node]["class_type"] == legacy.CHECKPOINT
    name = str(inputs.get("ckpt_name" if is_checkpoint else "model_path", "") or "")
    files = legacy.files_of(name or "Qwen-Image-Edit-2509-FP8")
    if files is None:
        return work.refuse(
            node, f"nobody can tell which model {name!r} means; name a file of the models lock"
        )
    encoder = str(inputs.get("model_name") or files.text_encoder)
    work.become(node, "CLIPLoader", clip_name=encoder, type="qwen_image", device="default")
    made: dict[str, Link] = {}

    def model() -> Link:
        weights = {"weight_dtype": "default"} if files.loader == "UNETLoader" else {}
        link = work.add(f"{node}_model", files.loader, "Model", unet_name=files.model, **weights)
        link = work.add(
            f"{node}_shifted",
            "ModelSamplingAuraFlow",
            "Shift of the noise schedule",
            model=link,
            shift=files.shift,
        )
        if files.is_edit:
            link = work.add(f"{node}_normalised", "CFGNorm", "CFG norm", model=link, strength=1.0)
        work.changed(node, f"its model {name or '(none named)'} is loaded from {files.model}")
        return link

    def vae() -> Link:
        return work.add(f"{node}_vae", "VAELoader", "VAE", vae_name=legacy.VAE)

    by_output = ("model", "clip", "vae") if is_checkpoint else ("clip", "model", "vae")
    for other in list(work.graph):
        values = work.graph[other]["inputs"]
        for field_name, link in values.items():
            if not is_link(link) or str(link[0]) != node:
                continue
            part = {"transformer": "model", "model": "model", "vae": "vae", "clip": "clip"}.get(
                field_name, by_output[link[1]] if link[1] < 3 else "clip"
            )
            if part == "clip":
                values[field_name] = [node, 0]
                continue
            if part not in made:
                made[part] = model() if part == "model" else vae()
            values[field_name] = made[part]
    return None


def _image_to_latent(work: Fixed, node: str) -> None:
    inputs = work.graph[node]["inputs"]
    pictures = behind(work, [node, 0])
    if not pictures:
        return work.refuse(node, "its image leads to no node that loads one")
    if len(pictures) > 1:
        work.changed(node, "image 1 alone is what sampling starts from; the others are references")
    work.become(node, "VAEEncode", pixels=pictures[0], vae=inputs.get("vae") or _vae(work))
    return None


def _vae(work: Fixed) -> Link:
    """The VAE that the graph decodes with, or a loader for it."""
    for node in work.graph.values():
        if node["class_type"].startswith("VAEDecode") and is_link(node["inputs"].get("vae")):
            return list(node["inputs"]["vae"])
    return work.add("vae", "VAELoader", "VAE", vae_name=legacy.VAE)


def _sampler(work: Fixed, node: str, pictures: list[Link]) -> None:
    inputs = dict(work.graph[node]["inputs"])
    wanted: dict[str, Any] = {"model": inputs.pop("model", None) or inputs.pop("transformer", None)}
    wanted |= {side: inputs.pop(side, None) for side in ("positive", "negative")}
    wanted["latent_image"] = _latent(work, node, inputs, pictures)
    inputs.pop("transformer", None)
    inputs.pop("vae", None)
    for name in PICTURES:
        inputs.pop(name, None)
    known = work.contract.inputs("KSampler")
    for name in _SAMPLING:
        wanted[name] = inputs.pop(name, None)
        if wanted[name] is None:
            wanted[name] = {"seed": 0, "steps": 20, "cfg": 2.5, "denoise": 1.0}.get(
                name, (known[name].choices or ("",))[0]
            )
            if name != "denoise":
                work.changed(node, f"{name} was not given: {wanted[name]}")
    if wanted["seed"] == -1:
        wanted["seed"] = secrets.randbelow(DRAWN_SEEDS)
        work.changed(node, f"seed -1 meant any: {wanted['seed']} was drawn")
    for name in [name for name in legacy.WITHOUT_EFFECT if name in inputs]:
        told = "no node ever took it, denoise says how much changes"
        work.changed(node, f"{name} {inputs.pop(name)} is left out: {told}")
    for name in inputs:
        work.refuse(node, f"its input {name} has no counterpart in KSampler")
    for name in ("model", "positive", "negative", "latent_image"):
        if not is_link(wanted[name]):
            work.refuse(node, f"nothing is linked to {name}")
    if not any(reason.startswith(f"node {node} ") for reason in work.refusals):
        work.become(node, "KSampler", **wanted)


def _latent(work: Fixed, node: str, inputs: dict[str, Any], pictures: list[Link]) -> Link | None:
    """What sampling starts from: the latent given, an image's own latent, or one made of the first image."""
    given = inputs.pop("latent_image", None) or inputs.pop("latent", None)
    if is_link(given):
        return list(given)
    for name in PICTURES:
        link = inputs.get(name)
        if is_link(link) and work.graph.get(str(link[0]), {}).get("class_type") == "VAEEncode":
            return list(link)
    if not pictures:
        return None
    return work.add(f"{node}_latent", "VAEEncode", "Start from image 1", pixels=pictures[0], vae=_vae(work))


def _encoder(work: Fixed, node: str) -> None:
    """With pictures the encoder for edits, without any the plain one of text to image."""
    inputs = work.graph[node]["inputs"]
    text = inputs.get("text") or inputs.get("prompt") or ""
    found: list[Link] = []
    for name in PICTURES:
        found += [picture for picture in behind(work, inputs.get(name)) if picture not in found]
    if not found:
        work.become(node, "CLIPTextEncode", text=text, clip=inputs.get("clip"))
        return
    vae = inputs.get("vae") if is_link(inputs.get("vae")) else _vae(work)
    images = {f"image{number}": picture for number, picture in enumerate(found[:MAX_IMAGES], 1)}
    work.become(node, "TextEncodeQwenImageEditPlus", clip=inputs.get("clip"), prompt=text, vae=vae, **images)
    work.changed(node, f"is shown {len(images)} image{'s' if len(images) > 1 else ''}")


def _used(graph: Graph) -> set[str]:
    return {name for node in graph.values() for name in sources(node)}


def _drop_unused(work: Fixed, before: Graph) -> None:
    """Batches that were only there to bring several images to one input."""
    needed = _used(before)
    while idle := [
        node
        for node, fields in work.graph.items()
        if fields["class_type"] == "ImageBatch" and node in needed - _used(work.graph)
    ]:
        for node in idle:
            del work.graph[node]
            work.changed(node, "ImageBatch is not needed any more")
