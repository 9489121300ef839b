"""A custom node for tests: ComfyUI builds Qwen's networks at a thousandth of their size.

ComfyUI writes the sizes of Qwen2.5-VL-7B and of the Qwen-Image transformer into its code, so small weight files alone
do not load. With this in `custom_nodes/`, the files of tests/tiny_weights do, and the real loaders, encoders, sampler
and VAE run on a CPU within seconds. A server that has it cannot load real weights: never in production.
"""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

NODE_CLASS_MAPPINGS: dict[str, type] = {}
SIZES: dict[str, dict[str, int]] = json.loads((Path(__file__).parent / "sizes.json").read_text())


def _set_defaults(function: Callable[..., Any], values: dict[str, int]) -> None:
    """Gives named parameters other default values. KeyError where the function has no such parameter."""
    parameters = inspect.signature(function).parameters
    unknown = set(values) - set(parameters)
    if unknown:
        raise KeyError(f"{function.__qualname__} has no parameter {', '.join(sorted(unknown))}")
    with_default = [name for name, one in parameters.items() if one.default is not inspect.Parameter.empty]
    function.__defaults__ = tuple(values.get(name, parameters[name].default) for name in with_default)


def apply() -> None:
    """Shrinks the classes of the running ComfyUI. Raises where this ComfyUI is built in another way."""
    from comfy.ldm.qwen_image.model import QwenImageTransformer2DModel
    from comfy.text_encoders import llama, qwen_vl

    _set_defaults(llama.Qwen25_7BVLI_Config.__init__, SIZES["text"])
    _set_defaults(QwenImageTransformer2DModel.__init__, SIZES["transformer"])
    # The encoder names the vision part's width itself, so a default would not be asked.
    qwen_vl.Qwen2VLVisionTransformer = functools.partial(
        _smaller, qwen_vl.Qwen2VLVisionTransformer, SIZES["vision"]
    )


def _smaller(network: type, sizes: dict[str, int], **wanted: Any) -> Any:
    return network(**(wanted | sizes))


apply()
print("comfystack: tiny test dimensions; real weights cannot be loaded by this server", flush=True)
