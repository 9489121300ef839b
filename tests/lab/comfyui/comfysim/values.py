"""What travels along the links of a running graph. `fingerprint` is the value's identity for later nodes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from PIL import Image


def fingerprint(*parts: Any) -> str:
    """A stable digest of JSON-able parts and other fingerprints."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def image_fingerprint(image: Image.Image) -> str:
    return hashlib.sha256(f"{image.mode}{image.size}".encode() + image.tobytes()).hexdigest()


@dataclass(frozen=True)
class Images:
    """IMAGE: a batch of RGB pictures of one size."""

    frames: tuple[Image.Image, ...]

    @property
    def size(self) -> tuple[int, int]:
        return self.frames[0].size

    @property
    def identity(self) -> str:
        return fingerprint(*(image_fingerprint(frame) for frame in self.frames))

    def weight(self) -> int:
        return sum(frame.width * frame.height * 3 for frame in self.frames)

    def __str__(self) -> str:
        return f"simulated IMAGE of {len(self.frames)} x {self.size[0]}x{self.size[1]}"


@dataclass(frozen=True)
class Masks:
    """MASK: a batch of greyscale pictures; white is masked."""

    frames: tuple[Image.Image, ...]

    def weight(self) -> int:
        return sum(frame.width * frame.height for frame in self.frames)


@dataclass(frozen=True)
class Weights:
    """MODEL, CLIP, VAE, CONTROL_NET or MODEL_PATCH: what was loaded, and every patch laid over it."""

    kind: str
    identity: str
    label: str

    def patched(self, *how: Any) -> Weights:
        return Weights(self.kind, fingerprint(self.identity, *how), self.label)


@dataclass(frozen=True)
class Conditioning:
    """CONDITIONING: the words, and the pictures the encoder was shown."""

    text: str
    identity: str
    references: tuple[Image.Image, ...] = ()

    def changed(self, *how: Any) -> Conditioning:
        return Conditioning(self.text, fingerprint(self.identity, *how), self.references)


@dataclass(frozen=True)
class Latent:
    """LATENT: the pictures that decoding gives, or only their size while nothing was drawn; pixels.

    With a `mask`, sampling changes only what is white in it.
    """

    width: int
    height: int
    batch: int
    frames: tuple[Image.Image, ...] = ()
    mask: Image.Image | None = None

    def weight(self) -> int:
        return sum(frame.width * frame.height * 3 for frame in self.frames)


def weight(value: Any) -> int:
    """Bytes that keeping the value in the cache costs, roughly."""
    return value.weight() if isinstance(value, Images | Masks | Latent) else 256
