"""`/v1/models` and `/v1/images`, as OpenAI's clients ask for them."""

from __future__ import annotations

import asyncio
import base64
import re
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from comfystack import ComfyError
from comfystack.events import ImageRef
from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, JSONResponse, Response

from ..entrance import decision_of
from . import bodies, catalogue, pictures, schemas, wishes
from .bodies import Body
from .catalogue import MASK, Model
from .limits import Limits
from .making import Kitchen
from .refusals import Refused, of_error
from .results import Results
from .wishes import Wish

_NAME = re.compile(r"[A-Za-z0-9.-]+(:\d{1,5})?")
# For the logs of whoever looks there: nobody gets this answer.
CLIENT_GONE = 499

Handler = Callable[[Request], Awaitable[Response]]


class Pictures:
    """The routes' common parts."""

    def __init__(
        self, kitchen: Kitchen, results: Results, limits: Limits, upload_bytes: int, image_pixels: int
    ) -> None:
        self.kitchen, self.results, self.limits = kitchen, results, limits
        self.upload_bytes, self.image_pixels = upload_bytes, image_pixels
        self.created = int(time.time())
        # A decoded picture takes hundreds of megabytes.
        self._one_decoder = asyncio.Lock()

    async def models(self) -> dict[str, Model]:
        try:
            return await catalogue.available(self.kitchen.transport)
        except ComfyError as error:
            raise of_error(error) from None

    async def answered(self, request: Request, read: Callable[[Request, int], Awaitable[Body]]) -> Response:
        """The answer to a request for pictures, unless its client leaves first."""
        owner = _owner(request)
        with self.limits.one(owner):
            body = await read(request, self.upload_bytes)
            work = asyncio.create_task(self._made(request, body, owner))
            left = asyncio.create_task(_left(request))
            try:
                await asyncio.wait({work, left}, return_when=asyncio.FIRST_COMPLETED)
                if work.done():
                    return JSONResponse(work.result())
                return Response(status_code=CLIENT_GONE)
            finally:
                for task in (work, left):
                    task.cancel()
                    with suppress(asyncio.CancelledError, Refused):
                        await task

    async def _made(self, request: Request, body: Body, owner: str) -> dict[str, Any]:
        wish = wishes.read(body.fields)
        masked = body.mask is not None
        model = catalogue.chosen(await self.models(), wish.model, len(body.images), masked)
        # Once without the pictures, so that what is wrong with a field is told before they are looked at.
        stand_ins = [ImageRef("none.png")] * len(body.images)
        wishes.graph_of(wish, model, stand_ins, stand_ins[0] if masked else None, 0)
        key = str(uuid.uuid4())
        try:
            images, mask = await self._laid_down(key, body)
            data = []
            for number in range(wish.n):
                graph = wishes.graph_of(wish, model, images, mask, number)
                name = uuid.uuid4().hex
                room = self.results.room(name)
                await self.kitchen.make(model.name, graph, owner, room, lambda _: None)
                data.append(await self._shown(request, wish, name, owner) | {"seed": wish.seed_of(number)})
        finally:
            self.kitchen.exchange.clear(key)
        return {"created": int(time.time()), "data": data, "output_format": "png"}

    async def _laid_down(self, key: str, body: Body) -> tuple[list[ImageRef], ImageRef | None]:
        """The uploads where ComfyUI finds them, each looked at first."""
        give = self.kitchen.exchange.give
        images: list[ImageRef] = []
        first: tuple[int, int] | None = None
        async with self._one_decoder:
            for number, content in enumerate(body.images, start=1):
                name = "image" if len(body.images) == 1 else f"image[{number - 1}]"
                picture = await asyncio.to_thread(pictures.looked_at, content, name, self.image_pixels)
                first = first or picture.size
                images.append(give(key, f"image{number}", picture.suffix, picture.content))
            if body.mask is None or first is None:
                return images, None
            area = await asyncio.to_thread(pictures.repainted, body.mask, first, self.image_pixels)
            return images, give(key, MASK, "png", area)

    async def _shown(self, request: Request, wish: Wish, name: str, owner: str) -> dict[str, Any]:
        file = self.results.room(name)
        if wish.response_format == "url":
            self.results.keep(name, owner)
            return {"url": f"{_base(request)}/v1/images/files/{name}"}
        content = await asyncio.to_thread(file.read_bytes)
        file.unlink()
        return {"b64_json": base64.b64encode(content).decode()}


def routes(pictures_of: Pictures) -> APIRouter:
    """The entrance has looked at the token."""
    router = APIRouter(prefix="/v1", tags=["images"])

    @router.get("/models", openapi_extra=schemas.MODELS)
    async def listed(_: Request) -> Response:
        """The workflows whose model files this deployment has."""
        models = await pictures_of.models()
        data = [one.shown(pictures_of.created) for one in models.values()]
        return JSONResponse({"object": "list", "data": data})

    @router.get("/models/{name}", openapi_extra=schemas.MODEL)
    async def one(name: str) -> Response:
        """One of them."""
        found = (await pictures_of.models()).get(name)
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
        found = pictures_of.results.find(name, _owner(request))
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


async def _left(request: Request) -> None:
    """Returns when the client has closed its connection. Its body has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
