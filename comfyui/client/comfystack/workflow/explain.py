"""What a graph does, told node by node, with what is wrong beside each."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import printable
from ..events import Graph
from . import legacy
from .check import Finding, sources
from .contract import Contract

_ROLES = {
    "UNETLoader": "loads the image model",
    "UnetLoaderGGUF": "loads the image model from a GGUF file",
    "CLIPLoader": "loads the text encoder",
    "VAELoader": "loads the VAE, which turns pictures into latents and back",
    "LoraLoaderModelOnly": "lays an adapter over the model, such as Lightning's few steps",
    "ModelSamplingAuraFlow": "shifts the noise schedule",
    "CFGNorm": "keeps guidance from burning colours",
    "LoadImage": "loads a picture from the server's input folder",
    "FluxKontextImageScale": "scales a picture to a size that the model was trained on",
    "TextEncodeQwenImageEditPlus": "turns a sentence and up to three pictures into guidance",
    "CLIPTextEncode": "turns a sentence into guidance",
    "VAEEncode": "turns a picture into a latent",
    "EmptySD3LatentImage": "an empty latent: the size of the result",
    "SetLatentNoiseMask": "lets only the masked part change",
    "ImageToMask": "takes one channel of a picture as a mask",
    "GrowMask": "widens a mask",
    "ImageCompositeMasked": "lays one picture over another where the mask is white",
    "ControlNetLoader": "loads a ControlNet",
    "ControlNetApplyAdvanced": "holds the result to a map of edges, a pose or depth",
    "KSampler": "computes the picture, step by step",
    "VAEDecode": "turns the latent into a picture",
    "SaveImage": "saves the picture; this is what a client gets",
}


def explain(graph: Graph, contract: Contract, findings: Iterable[Finding]) -> list[str]:
    """Lines for a person: every node in the order in which it runs, and what is to be said of it."""
    by_node: dict[str, list[Finding]] = {}
    for finding in findings:
        by_node.setdefault(finding.node, []).append(finding)
    lines = [f"{len(graph)} nodes, held against {contract.source}", ""]
    for node in _in_order(graph):
        class_type = graph[node]["class_type"]
        lines.append(f"{node}  {class_type}: {_role(class_type, contract)}")
        values = [
            f"{name} {printable(repr(value), 70)}"
            for name, value in graph[node]["inputs"].items()
            if not isinstance(value, list)
        ]
        lines += [f"    {', '.join(values)}"] if values else []
        if legacy.is_old(graph[node]):
            stands = legacy.NATIVE.get(
                class_type, "TextEncodeQwenImageEditPlus, or CLIPTextEncode without an image"
            )
            lines.append(f"    in its place: {stands} (`comfystack workflow fix` writes it)")
        lines += [f"    wrong: {_words(finding)}" for finding in by_node.get(node, ())]
    return lines


def _words(finding: Finding) -> str:
    where = f"{finding.field}: " if finding.field else ""
    return f"{where}found {finding.found}; expected {finding.expected}; next step: {finding.next_step}"


def _role(class_type: str, contract: Contract) -> str:
    if class_type in _ROLES:
        return _ROLES[class_type]
    if class_type in contract.classes:
        pack = contract.module(class_type)
        return f"a node of {pack}" if pack else "a node of ComfyUI"
    if class_type in contract.only_named:
        return "a node of ComfyUI that is not looked into further; --server does"
    return legacy.UNTRANSLATABLE.get(class_type, "no class of this ComfyUI")


def _in_order(graph: Graph) -> list[str]:
    """What others need first; nodes in a circle come last, as they stand."""
    order: list[str] = []
    left = dict.fromkeys(graph)
    while ready := [node for node in left if not any(name in left for name in sources(graph[node]))]:
        order += ready
        for node in ready:
            del left[node]
    return order + list(left)
