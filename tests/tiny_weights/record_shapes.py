"""Writes shapes.json anew from a ComfyUI tree, when an upgrade changes its networks.

usage, with the Python that runs that ComfyUI: python tests/tiny_weights/record_shapes.py COMFYUI_DIR
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def _networks() -> dict[str, Any]:
    """Each network as ComfyUI would build it for the tiny files, without memory behind it."""
    import torch
    from comfy import ops
    from comfy.ldm.qwen_image.controlnet import QwenImageControlNetModel
    from comfy.ldm.qwen_image.model import QwenImageTransformer2DModel
    from comfy.ldm.wan.vae import WanVAE
    from comfy.text_encoders.llama import Qwen25_7BVLI

    layer = ops.disable_weight_init
    with torch.device("meta"):
        return {
            "transformer": QwenImageTransformer2DModel(num_layers=2, operations=layer),
            "text_encoder": Qwen25_7BVLI({}, torch.float32, "meta", layer),
            # ComfyUI reads the VAE's width out of the file; the real one has 96.
            "vae": WanVAE(
                dim=8,
                z_dim=16,
                dim_mult=[1, 2, 4, 4],
                num_res_blocks=2,
                attn_scales=[],
                temperal_downsample=[False, True, True],
                image_channels=3,
                conv_out_channels=3,
                dropout=0.0,
            ),
            "controlnet": QwenImageControlNetModel(num_layers=1, operations=layer),
        }


def main(comfyui: str) -> None:
    """Reads the shapes off the networks of `comfyui` and replaces shapes.json."""
    sys.argv = [sys.argv[0], "--cpu"]
    sys.path[:0] = [comfyui, str(HERE)]
    import comfy.options

    comfy.options.enable_args_parsing()
    import custom_node  # noqa: F401 - shrinks the networks

    shapes = {
        name: {key: list(tensor.shape) for key, tensor in network.state_dict().items() if tensor.numel()}
        for name, network in _networks().items()
    }
    lines = ",\n".join(
        f" {json.dumps(name)}: {{\n"
        + ",\n".join(f"  {json.dumps(key)}: {json.dumps(shape)}" for key, shape in tensors.items())
        + "\n }"
        for name, tensors in shapes.items()
    )
    (HERE / "shapes.json").write_text(f"{{\n{lines}\n}}\n")


if __name__ == "__main__":
    main(sys.argv[1])
