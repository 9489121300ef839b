"""Pictures that ComfyUI makes of a file on the way: with its own error 500 where the file is no picture."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from . import answers
from .comfyui import Comfyui
from .gate import Gate, without_token
from .heads import question_of

_PART_BYTES = 64 * 1024
_KEPT = (
    "Content-Type",
    "Content-Length",
    "Content-Disposition",
    "X-Content-Type-Options",
    "Cache-Control",
    "Vary",
)
_NO_PICTURE = (
    "found a file of which ComfyUI can make no picture, or a quality that is none; expected a whole picture, and in "
    "preview webp;90 or jpeg;90, in channel rgb or a: ask without preview and channel for the file itself"
)


def routes(gate: Gate, comfyui: Comfyui) -> APIRouter:
    """What the edge sends here instead of to ComfyUI: /view with preview or channel."""
    router = APIRouter(prefix="/_views", include_in_schema=False)

    @router.api_route("/view", methods=["GET", "HEAD"])
    async def view(request: Request) -> Response:
        question = question_of(request)
        decision = gate.comfyui(question)
        if not decision.ok:
            return answers.refusal(decision, question)
        try:
            answer = await comfyui.view(without_token(question.uri).partition("?")[2])
        except (aiohttp.ClientError, TimeoutError, OSError):
            return answers.error(502, "unavailable", "ComfyUI does not answer; it may be starting")
        if answer.status == 500:
            answer.close()
            return answers.error(400, "no_picture", _NO_PICTURE)
        headers = {name: answer.headers[name] for name in _KEPT if name in answer.headers}
        return StreamingResponse(_parts(answer), answer.status, headers)

    return router


async def _parts(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    async with answer:
        async for part in answer.content.iter_chunked(_PART_BYTES):
            yield part
