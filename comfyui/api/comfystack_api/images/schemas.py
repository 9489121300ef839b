"""What the OpenAPI page says of these routes: their bodies are read by hand, before anything is believed."""

from __future__ import annotations

from typing import Any

from comfystack import parameters

from .catalogue import packaged
from .wishes import MOST_PARTIALS, MOST_PICTURES, PROMPT_CHARACTERS, SEEDS

_TYPES = {"text": "string", "integer": "integer", "number": "number"}


def _extensions(generates: bool) -> dict[str, Any]:
    """The workflows' own parameters, each as the first workflow that has it knows it."""
    found: dict[str, Any] = {}
    for model in packaged().values():
        for name in model.extensions if model.generates == generates else ():
            one: parameters.Parameter = model.schema.parameters[name]
            schema: dict[str, Any] = {"type": _TYPES[one.type]}
            if one.minimum is not None and one.maximum is not None:
                schema |= {"minimum": one.minimum, "maximum": one.maximum}
            found.setdefault(name, schema)
    return found


_FIELDS: dict[str, Any] = {
    "prompt": {"type": "string", "minLength": 1, "maxLength": PROMPT_CHARACTERS},
    "model": {"type": "string", "description": "a name of GET /v1/models; left out, one is chosen"},
    "n": {"type": "integer", "minimum": 1, "maximum": MOST_PICTURES, "default": 1},
    "size": {"type": "string", "default": "auto", "description": "auto or WIDTHxHEIGHT"},
    "response_format": {"type": "string", "enum": ["b64_json", "url"], "default": "b64_json"},
    "seed": {"type": "integer", "minimum": 0, "maximum": SEEDS - 1},
    "stream": {
        "type": "boolean",
        "default": False,
        "description": "server-sent events instead of one answer",
    },
    "partial_images": {"type": "integer", "minimum": 0, "maximum": MOST_PARTIALS, "default": 0},
}
_FILES: dict[str, Any] = {
    "image": {"type": "array", "minItems": 1, "maxItems": 3, "items": {"type": "string", "format": "binary"}},
    "mask": {"type": "string", "format": "binary", "description": "PNG, transparent where to edit"},
}
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}


def _errors(*statuses: int) -> dict[str, Any]:
    words = {
        400: "a field or an image is wrong",
        401: "no valid token",
        403: "a page of another site asks",
        404: "no such model, or no such picture of this token",
        409: "somebody cancelled the job",
        413: "the body is too large",
        415: "the body has another type",
        429: "too many requests of this token; Retry-After says how long to wait",
        502: "the job failed",
        503: "ComfyUI does not answer, or lost the job; Retry-After says when to come again",
        504: "the job took too long, and was cancelled",
    }
    body = {"content": {"application/json": {"schema": _ERROR}}}
    return {str(status): {"description": words[status], **body} for status in statuses}


def _made(kind: str, required: list[str], properties: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "required": required, "properties": properties}
    return {
        "requestBody": {"required": True, "content": {kind: {"schema": schema}}},
        "responses": _errors(400, 401, 403, 404, 409, 413, 415, 429, 502, 503, 504),
    }


GENERATION = _made("application/json", ["prompt"], {**_FIELDS, **_extensions(generates=True)})
EDIT = _made(
    "multipart/form-data", ["prompt", "image"], {**_FIELDS, **_FILES, **_extensions(generates=False)}
)
MODELS: dict[str, Any] = {"responses": _errors(401, 403, 503)}
MODEL: dict[str, Any] = {"responses": _errors(401, 403, 404, 503)}
FILE: dict[str, Any] = {
    "responses": {
        "200": {"description": "the picture", "content": {"image/png": {}}},
        **_errors(401, 403, 404),
    }
}
