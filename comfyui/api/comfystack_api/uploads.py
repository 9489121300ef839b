"""Uploads on their way to ComfyUI, which answers with its own error 500 where a form is not as it expects.

The form is read as it passes, so that no more of it than a part and its short fields is ever held here. ComfyUI keeps
nothing of a body that does not end: what is wrong with a form ends it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress

import aiohttp
from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.requests import ClientDisconnect

from . import answers
from .comfyui import Comfyui
from .forms import Form, WrongForm
from .gate import Gate
from .heads import question_of
from .unkept import Unkept

_NOT_KEPT = (
    "found an upload that seems right and a ComfyUI that could not keep the file; expected room on the disk, and a "
    "name that is free: try another one; if that does not help, the operator looks at ComfyUI's log"
)


def routes(gate: Gate, comfyui: Comfyui, unkept: Unkept) -> APIRouter:
    """What the edge sends here instead of to ComfyUI: POST to /upload/image and /upload/mask."""
    router = APIRouter(prefix="/_uploads", include_in_schema=False)

    @router.post("/upload/{name}")
    async def upload(request: Request, name: str) -> Response:
        parts = request.stream()
        answer = await _carried(request, name, parts)
        # Who answers and stops reading cuts the connection, and the edge would tell of that instead.
        with suppress(ClientDisconnect):
            async for _ in parts:
                pass
        return answer

    async def _carried(request: Request, name: str, parts: AsyncGenerator[bytes]) -> Response:
        question = question_of(request)
        decision = gate.own(question)
        if not decision.ok:
            return answers.refusal(decision, question)
        if name not in ("image", "mask"):
            return answers.error(404, "unknown", "there is no such route")
        kind = request.headers.get("content-type", "")
        form: Form | None = None
        try:
            form = Form(kind, mask=name == "mask")
            status, media, content = await comfyui.upload(f"/upload/{name}", kind, _read(parts, form))
        except WrongForm as wrong:
            return _refused(wrong)
        except (aiohttp.ClientError, TimeoutError, OSError):
            # Whatever ends a body on its way is an error of the connection's to aiohttp.
            if form is not None and form.wrong is not None:
                return _refused(form.wrong)
            return answers.error(502, "unavailable", "ComfyUI does not answer; it may be starting")
        if status == 500:
            with suppress(aiohttp.ClientError, TimeoutError, OSError):
                reason = await unkept.reason(form)
                if reason is not None:
                    return _refused(reason)
            return answers.error(500, "not_kept", _NOT_KEPT)
        return Response(content, status, media_type=media)

    return router


async def _read(parts: AsyncIterator[bytes], form: Form) -> AsyncIterator[bytes]:
    """The body, each part of it only after it was read; its end only where all of it is right."""
    async for part in parts:
        form.feed(part)
        if part:
            yield part
    form.end()


def _refused(wrong: WrongForm) -> Response:
    return answers.error(400, "invalid_form", str(wrong), param=wrong.param)
