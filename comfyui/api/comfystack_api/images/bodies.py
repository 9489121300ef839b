"""A request's body read: JSON or a form, never more than is allowed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.types import Message

from .catalogue import MASK
from .refusals import Refused, wrong

JSON_BYTES = 1024 * 1024
FIELDS = 40
# The names under which clients send one image, or several.
IMAGES = ("image", "image[]")
MOST_IMAGES = 3


@dataclass
class Body:
    """The fields, and the files of a form in their order."""

    fields: dict[str, Any]
    images: list[bytes] = field(default_factory=list)
    mask: bytes | None = None


async def described(request: Request, most_bytes: int) -> Body:
    """The JSON object of a generation. Raises Refused."""
    if _media_type(request) != "application/json":
        raise Refused(415, "unsupported_media_type", "expected a body of Content-Type: application/json")
    try:
        document = json.loads(await _limited(request, min(JSON_BYTES, most_bytes)).body())
    except (ValueError, RecursionError):
        raise Refused(400, "invalid_json", "the body is not JSON") from None
    if not isinstance(document, dict):
        raise Refused(400, "invalid_json", "the body is no JSON object")
    return Body(document)


async def uploaded(request: Request, most_bytes: int) -> Body:
    """The form of an edit. Raises Refused."""
    if _media_type(request) != "multipart/form-data":
        raise Refused(415, "unsupported_media_type", "expected a body of Content-Type: multipart/form-data")
    try:
        form = await _limited(request, most_bytes).form(max_files=MOST_IMAGES + 1, max_fields=FIELDS)
    except HTTPException as error:
        raise Refused(400, "invalid_form", f"the form cannot be read: {error.detail}") from None
    try:
        return await _sorted(form)
    finally:
        await form.close()


async def _sorted(form: FormData) -> Body:
    body = Body({})
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            # Nothing depends on the name that a file came with.
            content = await value.read()
            if name in IMAGES:
                body.images.append(content)
            elif name == MASK and body.mask is None:
                body.mask = content
            else:
                raise wrong(
                    name, f"there is no file {name[:40]!r}; expected image and mask", "unknown_parameter"
                )
        elif name in (*IMAGES, MASK):
            raise wrong(name, f"{name} is text; expected an uploaded file", "invalid_image")
        elif name in body.fields:
            raise wrong(name, f"{name[:40]!r} is there twice")
        else:
            body.fields[name] = value
    if not body.images:
        raise wrong("image", "there is no image; expected a file", "missing_required_parameter")
    if len(body.images) > MOST_IMAGES:
        raise wrong("image", f"{len(body.images)} images; expected: at most {MOST_IMAGES}")
    return body


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _limited(request: Request, most: int) -> Request:
    """The same request, whose body ends with an error where it is larger."""
    too_large = Refused(413, "too_large", f"the body is larger than {most} bytes")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > most:
        raise too_large
    came = 0

    async def receive() -> Message:
        nonlocal came
        message = await request.receive()
        came += len(message.get("body", b""))
        if came > most:
            raise too_large
        return message

    return Request(request.scope, receive)
