"""The models of the API: the packaged workflows whose model files this deployment has."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from comfystack import graphs, parameters
from comfystack.failures import MODEL_FOLDERS
from comfystack.transport import Transport

from .refusals import Refused, wrong

MASK = "mask"
# What is taken where a request names no model: the first of these that is there.
PREFERRED = ("text-to-image-lightning", "text-to-image", "edit-lightning", "edit", "inpaint")


@dataclass(frozen=True)
class Model:
    """A workflow as a model. `images` are its image parameters in order, the mask left out."""

    name: str
    schema: parameters.Schema
    images: tuple[str, ...]
    # (folder, file) of each model file that its graph names.
    files: frozenset[tuple[str, str]]

    @property
    def generates(self) -> bool:
        """Whether it makes pictures from a sentence alone; others edit."""
        return not self.images

    @property
    def takes_mask(self) -> bool:
        return MASK in self.schema.parameters

    @property
    def fewest(self) -> int:
        return sum(self.schema.parameters[name].required for name in self.images)

    @property
    def extensions(self) -> list[str]:
        """What it takes beyond OpenAI's fields."""
        known = {*self.images, MASK, "prompt", "width", "height"}
        return [name for name in self.schema.parameters if name not in known]

    def shown(self, created: int) -> dict[str, Any]:
        """As GET /v1/models has it: OpenAI's four fields, and what a request to it may have."""
        return {
            "id": self.name,
            "object": "model",
            "created": created,
            "owned_by": "comfystack",
            "title": self.schema.title,
            "endpoint": "/v1/images/generations" if self.generates else "/v1/images/edits",
            "images": {"minimum": self.fewest, "maximum": len(self.images)},
            "mask": self.takes_mask,
            "extensions": self.extensions,
        }


@cache
def packaged() -> dict[str, Model]:
    """Every workflow of the package, whether its files are there or not."""
    return {name: _model(name) for name in graphs.names()}


def _model(name: str) -> Model:
    schema = parameters.schema(name)
    images = tuple(key for key, one in schema.parameters.items() if one.type == "image" and key != MASK)
    files = frozenset(
        (MODEL_FOLDERS[field], str(value))
        for node in graphs.load(name).values()
        for field, value in node["inputs"].items()
        if field in MODEL_FOLDERS
    )
    return Model(name, schema, images, files)


async def available(transport: Transport) -> dict[str, Model]:
    """The models whose files ComfyUI has now. Raises ComfyError where it cannot be asked."""
    folders = sorted({folder for model in packaged().values() for folder, _ in model.files})
    there: set[tuple[str, str]] = set()
    for folder in folders:
        reply = await transport.exchange("GET", f"/models/{folder}", accept=(200, 404))
        names = reply.json() if reply.status == 200 else []
        there |= {(folder, str(name)) for name in names}
    return {name: model for name, model in packaged().items() if model.files <= there}


def chosen(models: dict[str, Model], wanted: str | None, images: int, mask: bool) -> Model:
    """The model for a request; a Refused where it is not there or is not made for this."""
    fitting = {name: one for name, one in models.items() if one.generates == (images == 0)}
    if wanted is None:
        wanted = next((one for one in PREFERRED if one in fitting and fitting[one].takes_mask == mask), "")
        if not wanted:
            raise Refused(404, "model_not_found", "this deployment has no model for such a request", "model")
    if wanted not in fitting:
        names = ", ".join(fitting) or "none"
        message = f"there is no model {wanted[:80]!r} for this; expected one of {names}"
        raise Refused(404, "model_not_found", message, "model")
    model = fitting[wanted]
    if mask and not model.takes_mask:
        takers = ", ".join(name for name, one in fitting.items() if one.takes_mask)
        raise wrong(MASK, f"model {wanted} takes no mask; {takers or 'none'} does")
    if model.takes_mask and not mask:
        raise wrong(MASK, f"model {wanted} needs a mask", "missing_required_parameter")
    if not model.fewest <= images <= len(model.images):
        few, many = model.fewest, len(model.images)
        expected = str(few) if few == many else f"{few} to {many}"
        raise wrong("image", f"{images} images; model {wanted} takes {expected}")
    return model
