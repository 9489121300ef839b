"""Random weights of a few megabytes for the shipped workflows, to run the real ComfyUI without a card.

usage: python -m tests.tiny_weights MODELS_DIR      (no torch needed)

The files have the names of comfyui/models.lock.yml and the tensor names of the real ones, with the shapes that
ComfyUI expects once custom_node/ is among its custom nodes. The pictures they give are noise; that they come out
proves loaders, encoders, sampler and VAE. The same bytes on every machine, so that a lock can pin them.
"""

from __future__ import annotations

import array
import json
import math
import random
import struct
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from statistics import NormalDist

CUSTOM_NODE = Path(__file__).parent / "custom_node"
NODE_NAME = "comfystack-tiny-dimensions"

Shapes = dict[str, list[int]]


@cache
def _shapes(network: str) -> Shapes:
    known: dict[str, Shapes] = json.loads((Path(__file__).parent / "shapes.json").read_text())
    return known[network]


def _lora() -> Shapes:
    """An adapter of rank 4 on the first block's attention."""
    shapes = _shapes("transformer")
    found: Shapes = {}
    for part in ("to_q", "to_k", "to_v"):
        name = f"transformer_blocks.0.attn.{part}"
        outside, inside = shapes[f"{name}.weight"]
        found[f"{name}.lora_down.weight"] = [4, inside]
        found[f"{name}.lora_up.weight"] = [outside, 4]
        found[f"{name}.alpha"] = [1]
    return found


def _float8(value: float) -> int:
    """The nearest number of F8_E4M3: sign, 4 bits of exponent with bias 7, 3 bits of mantissa."""
    return min(range(0x7F), key=lambda code: abs(_of_float8(code) - abs(value))) | (0x80 if value < 0 else 0)


def _of_float8(code: int) -> float:
    exponent, mantissa = code >> 3, code & 7
    return (8 + mantissa) / 8 * 2.0 ** (exponent - 7) if exponent else mantissa / 8 * 2.0**-6


def _float8_tensor(numbers: random.Random, count: int, spread: float | None, constant: float) -> bytes:
    if spread is None:
        return bytes([_float8(constant)]) * count
    # 256 steps of a normal distribution: a random byte picks one.
    steps = bytes(_float8(NormalDist(0, spread).inv_cdf((step + 0.5) / 256)) for step in range(256))
    return numbers.randbytes(count).translate(steps)


def _bfloat16_tensor(numbers: random.Random, count: int, spread: float | None, constant: float) -> bytes:
    values = [constant] * count if spread is None else [numbers.gauss(0, spread) for _ in range(count)]
    floats = array.array("f", values)
    if sys.byteorder == "big":
        floats.byteswap()
    whole, halves = floats.tobytes(), bytearray(2 * count)
    # The upper half of a 32-bit float.
    halves[0::2], halves[1::2] = whole[2::4], whole[3::4]
    return bytes(halves)


_TENSOR: dict[str, Callable[[random.Random, int, float | None, float], bytes]] = {
    "F8_E4M3": _float8_tensor,
    "BF16": _bfloat16_tensor,
}


def _distribution(name: str, shape: list[int]) -> tuple[float | None, float]:
    """(spread, constant): norms are 1 and biases 0, else values that keep a signal's size through the network."""
    if name.endswith((".gamma", ".alpha")) or ("norm" in name and name.endswith("weight")):
        return None, 1.0
    if name.endswith("bias"):
        return None, 0.0
    return math.prod(shape[1:]) ** -0.5 if len(shape) > 1 else 0.05, 0.0


def safetensors(shapes: Shapes, dtype: str, seed: str) -> bytes:
    """A whole safetensors file with random tensors of these shapes; `dtype` is F8_E4M3 or BF16."""
    numbers = random.Random(seed)  # noqa: S311 - the same weights on every machine
    header: dict[str, object] = {"__metadata__": {"format": "pt", "comfystack": "tiny random test weights"}}
    body = bytearray()
    for name, shape in shapes.items():
        data = _TENSOR[dtype](numbers, math.prod(shape), *_distribution(name, shape))
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + bytes(body)


@cache
def content(key: str) -> bytes | None:
    """The file for one entry of the models lock, or None where no shipped workflow needs that entry."""
    if key in ("edit-fp8", "t2i-fp8"):
        return safetensors(_shapes("transformer"), "F8_E4M3", key)
    if key == "encoder-fp8":
        return safetensors(_shapes("text_encoder"), "F8_E4M3", key)
    if key in ("vae", "controlnet-union"):
        return safetensors(_shapes("vae" if key == "vae" else "controlnet"), "BF16", key)
    if key.startswith("lightning-"):
        return safetensors(_lora(), "BF16", key)
    return None
