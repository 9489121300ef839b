"""Node classes of the site's old notebooks and of early Qwen packs: what each is, and the native node for it.

Where each comes from is in docs/workflows/fix.md. None of them is a class of ComfyUI itself; the two samplers were in
ComfyUI-QwenImageWanBridge from 2025-09-26 to 2025-11-27 only, with other inputs than the notebooks give them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LOADER = "QwenVLCLIPLoader"
CHECKPOINT = "CheckpointLoaderSimple"
ENCODERS = ("TextEncodeQwenImageEdit", "TextEncodeQwenImageEditPlus")
EMPTY_LATENT = "QwenVLEmptyLatent"
IMAGE_TO_LATENT = "QwenVLImageToLatent"
SAMPLERS = ("QwenImageSamplerNode", "QwenImageSamplerWithEdit")

# Class -> what stands for it, in words.
NATIVE = {
    LOADER: "CLIPLoader, with UNETLoader and VAELoader for the outputs that it never had",
    EMPTY_LATENT: "EmptySD3LatentImage",
    IMAGE_TO_LATENT: "VAEEncode",
    SAMPLERS[0]: "KSampler",
    SAMPLERS[1]: "KSampler, with the images given to TextEncodeQwenImageEditPlus",
}
# Why a class cannot be translated.
UNTRANSLATABLE = {
    "NunchakuQwenImageDiTLoader": "it is of ComfyUI-nunchaku, which is not in the image; its files load nowhere else",
    "QwenInpaintSampler": "it is an experiment of the Bridge; the shipped workflow `inpaint` does this natively",
}
# Literal inputs of the old samplers that no node ever honoured.
WITHOUT_EFFECT = ("edit_strength", "style_strength", "image_strength")


@dataclass(frozen=True)
class Files:
    """The files that an old loader's one name means, and how the sampling of that model is set up."""

    loader: str
    model: str
    text_encoder: str
    is_edit: bool

    @property
    def shift(self) -> float:
        """Of ModelSamplingAuraFlow: what goes with the model in ComfyUI's own workflows."""
        return 3.0 if self.is_edit else 3.1


VAE = "qwen_image_vae.safetensors"
_FP8_ENCODER = "qwen_2.5_vl_7b_fp8_scaled.safetensors"


def files_of(name: str) -> Files | None:
    """What a name such as Qwen-Image-Edit-2509-FP8 means, None for one that tells nothing."""
    plain = re.sub(r"[^a-z0-9]", "", name.rstrip("/").rsplit("/", 1)[-1].lower())
    if "qwenimage" not in plain and "qwenedit" not in plain:
        return None
    if "nunchaku" in plain or "int4" in plain or "svdq" in plain:
        return None
    if "edit" not in plain:
        return Files("UNETLoader", "qwen_image_fp8_e4m3fn.safetensors", _FP8_ENCODER, False)
    if "q8" in plain:
        return Files("UnetLoaderGGUF", "Qwen-Image-Edit-2509-Q8_0.gguf", _FP8_ENCODER, True)
    if "gguf" in plain or "q4" in plain:
        return Files("UnetLoaderGGUF", "Qwen-Image-Edit-2509-Q4_K_M.gguf", _FP8_ENCODER, True)
    if "bf16" in plain:
        return Files(
            "UNETLoader", "qwen_image_edit_2509_bf16.safetensors", "qwen_2.5_vl_7b.safetensors", True
        )
    return Files("UNETLoader", "qwen_image_edit_2509_fp8_e4m3fn.safetensors", _FP8_ENCODER, True)


def is_old(node: Mapping[str, Any]) -> bool:
    """Whether a node is to be translated, rather than left as it is."""
    class_type, inputs = node["class_type"], node["inputs"]
    if class_type in ENCODERS:
        return "text" in inputs or "images" in inputs
    if class_type == CHECKPOINT:
        return "qwen" in str(inputs.get("ckpt_name", "")).lower()
    return class_type in NATIVE
