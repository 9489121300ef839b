"""`/v1/models` and `/v1/images`, as OpenAI's clients ask for them."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import ExitStack, aclosing
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from ..entrance import decision_of
from . import bodies, schemas, streams
from .bodies import Body
from .limits import Limits
from .orders import Orders
from .refusals import Refused

_NAME = re.compile(r"[A-Za-z0-9.-]+(:\d{1,5})?")
# For the logs of whoever looks there: nobody gets this answer.
CLIENT_GONE = 499


class Pictures:
    """The routes' common parts."""

    def __init__(self, orders: Orders, limits: Limits, upload_bytes: int) -> None:
        self.orders, self._limits, self._upload_bytes = orders, limits, upload_bytes
        self.created = int(time.time())

    async def answered(self, request: Request, read: Callable[[Request, int], Awaitable[Body]]) -> Response:
        """The answer to a request for pictures, unless its client leaves first."""
        owner = _owner(request)
        with ExitStack() as counted:
            counted.enter_context(self._limits.one(owner))
            body = await read(request, self._upload_bytes)
            order = await self.orders.taken(body, owner, f"{_base(request)}/v1/images/files")
            counted.callback(self.orders.kitchen.exchange.clear, order.key)
            if order.wish.stream:
                events = _until_gone(request, streams.events(self.orders, order))
                return _Streamed(events, counted.pop_all())
            work = asyncio.ensure_future(self.orders.whole(order))
            try:
                if await _first(request, work):
                    return JSONResponse(work.result())
                return Response(status_code=CLIENT_GONE)
            finally:
                work.cancel()
                await asyncio.wait({work})


class _Streamed(StreamingResponse):
    """Events of a request that counts as being at work until the last one, and whose job ends with them."""

    def __init__(self, events: AsyncGenerator[str], counted: ExitStack) -> None:
        super().__init__(events, media_type=streams.MEDIA_TYPE, headers={"Cache-Control": "no-store"})
        self._events, self._counted = events, counted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._counted:
            async with aclosing(self._events):
                await super().__call__(scope, receive, send)


def routes(pictures_of: Pictures) -> APIRouter:
    """The entrance has looked at the token."""
    router = APIRouter(prefix="/v1", tags=["images"])

    @router.get("/models", openapi_extra=schemas.MODELS)
    async def listed(_: Request) -> Response:
        """The workflows whose model files this deployment has."""
        models = await pictures_of.orders.models()
        data = [one.shown(pictures_of.created) for one in models.values()]
        return JSONResponse({"object": "list", "data": data})

    @router.get("/models/{name}", openapi_extra=schemas.MODEL)
    async def one(name: str) -> Response:
        """One of them."""
        found = (await pictures_of.orders.models()).get(name)
        if found is None:
            raise Refused(404, "model_not_found", f"there is no model {name[:80]!r}", "model")
        return JSONResponse(found.shown(pictures_of.created))

    @router.post("/images/generations", openapi_extra=schemas.GENERATION)
    async def generations(request: Request) -> Response:
        """Pictures from a sentence."""
        return await pictures_of.answered(request, bodies.described)

    @router.post("/images/edits", openapi_extra=schemas.EDIT)
    async def edits(request: Request) -> Response:
        """Pictures from one to three images and a sentence; with a mask, only a part of the first changes."""
        return await pictures_of.answered(request, bodies.uploaded)

    @router.get("/images/files/{name}", openapi_extra=schemas.FILE)
    async def file(request: Request, name: str) -> Response:
        """A picture that was asked for as url, for the token that asked."""
        found = pictures_of.orders.results.find(name, _owner(request))
        if found is None:
            raise Refused(404, "not_found", "there is no such picture of yours, or it has expired")
        headers = {"Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff"}
        return FileResponse(found, media_type="image/png", headers=headers)

    return router


def _owner(request: Request) -> str:
    token = decision_of(request).token
    assert token is not None
    return token.digest


def _base(request: Request) -> str:
    """The public name, as the request came to it: IIS writes the scheme, and ends TLS."""
    host = request.headers.get("host", "")
    scheme = "https" if request.headers.get("x-forwarded-proto") == "https" else "http"
    return f"{scheme}://{host}" if _NAME.fullmatch(host) else ""


async def _first(request: Request, work: asyncio.Future[Any]) -> bool:
    """Waits for this work; False where the client leaves before it is done. Its body has been read."""

    async def left() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    leaving = asyncio.ensure_future(left())
    try:
        await asyncio.wait({work, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return work.done()
    finally:
        leaving.cancel()


async def _until_gone(request: Request, events: AsyncGenerator[str]) -> AsyncGenerator[str]:
    """The events, of which a client that has left gets no more."""
    async with aclosing(events):
        while True:
            event = asyncio.ensure_future(anext(events, None))
            try:
                if not await _first(request, event):
                    return
                text = event.result()
            finally:
                event.cancel()
                await asyncio.wait({event})
            if text is None:
                return
            yield text
