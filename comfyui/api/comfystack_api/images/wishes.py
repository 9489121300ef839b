"""What a request asks for: its fields looked at one by one, before anything is done."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from comfystack import InputError, parameters
from comfystack.events import Graph, ImageRef

from .catalogue import MASK, Model
from .refusals import of_error, wrong

# OpenAI's own limits.
MOST_PICTURES = 10
MOST_PARTIALS = 3
PROMPT_CHARACTERS = 32_000
SEEDS = 2**64
# One that survives every reader of JSON.
_RANDOM_SEEDS = 2**32
_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")
# OpenAI's fields that change nothing here, with the values that promise nothing else.
_WITHOUT_EFFECT: dict[str, tuple[str, ...] | None] = {
    "background": ("auto", "opaque"),
    "input_fidelity": None,
    "moderation": None,
    "output_format": ("png",),
    "output_compression": ("100",),
    "quality": None,
    "safety_identifier": None,
    "style": None,
    "user": None,
}
_FIELDS = ("prompt", "model", "n", "size", "response_format", "stream", "partial_images")


@dataclass(frozen=True)
class Wish:
    """A request that can be carried out."""

    prompt: str
    model: str | None
    n: int
    size: tuple[int, int] | None
    response_format: Literal["url", "b64_json"]
    seed: int
    stream: bool
    # Half-made pictures that a stream shows before each whole one.
    partial_images: int
    # Further parameters of the workflow, as they came.
    more: Mapping[str, Any]

    def seed_of(self, number: int) -> int:
        """Each picture has a seed of its own."""
        return (self.seed + number) % SEEDS


def read(fields: Mapping[str, Any]) -> Wish:
    """The fields of a form or a JSON object; None counts as left out. Raises Refused."""
    given = {name: value for name, value in fields.items() if value is not None}
    for name, value in given.items():
        if not isinstance(value, str | int | float):
            raise wrong(name, f"{name[:40]} is neither text nor a number")
    for name, allowed in _WITHOUT_EFFECT.items():
        value = given.pop(name, None)
        if value is not None and allowed and str(value) not in allowed:
            raise wrong(name, f"{name} {str(value)[:40]!r}; expected: {' or '.join(allowed)}")
    prompt, model = given.pop("prompt", ""), given.pop("model", None)
    if not isinstance(prompt, str) or not prompt.strip():
        raise wrong("prompt", "there is no prompt; expected a sentence", "missing_required_parameter")
    if len(prompt) > PROMPT_CHARACTERS:
        raise wrong("prompt", f"the prompt has {len(prompt)} characters; at most {PROMPT_CHARACTERS}")
    if model is not None and not isinstance(model, str):
        raise wrong("model", "the model is no text; GET /v1/models has their names")
    stream = str(given.pop("stream", "false")).lower()
    if stream not in ("true", "false"):
        raise wrong("stream", f"stream is {stream[:40]!r}; expected: true or false")
    if stream == "true" and given.get("response_format") == "url":
        raise wrong("response_format", "a stream brings the pictures themselves; expected: b64_json")
    return Wish(
        prompt=prompt,
        model=model or None,
        n=_number("n", given.pop("n", 1), 1, MOST_PICTURES),
        size=_size(given.pop("size", "auto")),
        response_format=_format(given.pop("response_format", "b64_json")),
        seed=_number("seed", given.pop("seed", secrets.randbelow(_RANDOM_SEEDS)), 0, SEEDS - 1),
        stream=stream == "true",
        partial_images=_number("partial_images", given.pop("partial_images", 0), 0, MOST_PARTIALS),
        more=given,
    )


def _number(name: str, value: Any, fewest: int, most: int) -> int:
    try:
        # A form has text; True is no number, although Python takes it for one.
        number = int(str(value))
    except ValueError:
        number = fewest - 1
    if not fewest <= number <= most:
        raise wrong(name, f"{name} is {str(value)[:40]!r}; expected: a whole number from {fewest} to {most}")
    return number


def _format(value: Any) -> Literal["url", "b64_json"]:
    if value == "url":
        return "url"
    if value == "b64_json":
        return "b64_json"
    raise wrong("response_format", f"response_format is {str(value)[:40]!r}; expected: url or b64_json")


def _size(value: Any) -> tuple[int, int] | None:
    if value == "auto":
        return None
    # One home for what the model can do.
    side = parameters.schema("text-to-image").parameters["width"]
    fewest, most, step = int(side.minimum or 0), int(side.maximum or 0), side.multiple_of or 1
    found = _SIZE.fullmatch(value) if isinstance(value, str) and value.isascii() else None
    sides = [int(text) for text in found.groups()] if found else []
    if not sides or any(not fewest <= one <= most or one % step for one in sides):
        expected = f"auto, or WIDTHxHEIGHT with sides from {fewest} to {most} pixels, multiples of {step}"
        raise wrong("size", f"size is {str(value)[:40]!r}; expected: {expected}")
    return sides[0], sides[1]


def graph_of(wish: Wish, model: Model, images: list[ImageRef], mask: ImageRef | None, number: int) -> Graph:
    """The workflow for picture `number` of a wish. Raises Refused for a field that the model does not take."""
    unknown = sorted(set(wish.more) - set(model.extensions))
    if unknown:
        known = ", ".join((*_FIELDS, *model.extensions))
        message = f"model {model.name} takes no {unknown[0][:40]!r}; it takes {known}"
        raise wrong(unknown[0], message, "unknown_parameter")
    values: dict[str, Any] = {
        **wish.more,
        "prompt": wish.prompt,
        "seed": wish.seed_of(number),
        **dict(zip(model.images, images, strict=False)),
    }
    if mask is not None:
        values[MASK] = mask
    sized = "width" in model.schema.parameters
    if wish.size and sized:
        values["width"], values["height"] = wish.size
    try:
        graph = parameters.fill(model.name, values)
    except InputError as error:
        raise of_error(error) from None
    if wish.size and not sized:
        _fit(graph, [model.images[0], MASK], wish.size)
    return graph


def _fit(graph: Graph, names: list[str], size: tuple[int, int]) -> None:
    """The picture takes its size from the first image and the mask: cut to the shape and scaled, in place of the
    size that the model's own node would choose."""
    for name in names:
        node = graph.get(f"{name}_scaled")
        if node is not None:
            node["class_type"] = "ImageScale"
            node["inputs"] |= {
                "upscale_method": "lanczos",
                "width": size[0],
                "height": size[1],
                "crop": "center",
            }
