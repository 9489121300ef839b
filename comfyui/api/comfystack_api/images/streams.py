"""An answer in server-sent events: half-made pictures while a job runs, then the whole one."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any

from comfystack import Progress

from .making import Watcher
from .orders import Order, Orders
from .refusals import Refused

MEDIA_TYPE = "text/event-stream"
# Nothing here is counted in tokens; OpenAI's client has a place for them.
_USAGE = {
    "input_tokens": 0,
    "output_tokens": 0,
    "total_tokens": 0,
    "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
}
Send = Callable[[dict[str, Any]], None]


class _Partials(Watcher):
    """Lets as many half-made pictures through as were asked for, spread over the steps of a job."""

    def __init__(self, wanted: int, send: Callable[[int, bytes], None]) -> None:
        self._wanted, self._send = wanted, send
        self._sent, self._step, self._steps = 0, 0, 0

    def progress(self, progress: Progress) -> None:
        self._step, self._steps = progress.step, progress.steps

    def preview(self, picture: bytes) -> None:
        # A preview does not say whose it is: before this job's own first step it could be another's.
        due = self._steps * (self._sent + 1) / (self._wanted + 1)
        if self._step and self._sent < self._wanted and self._step >= due:
            self._send(self._sent, picture)
            self._sent += 1


async def events(orders: Orders, order: Order) -> AsyncGenerator[str]:
    """The text of each event. Whoever stops reading, stops the job."""
    queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
    work = asyncio.create_task(_made(orders, order, queue.put_nowait))
    work.add_done_callback(lambda _: queue.put_nowait(None))
    try:
        while (event := await queue.get()) is not None:
            yield _text(event)
        try:
            work.result()
        except Refused as refused:
            yield f"event: error\ndata: {bytes(refused.response().body).decode()}\n\n"
    finally:
        work.cancel()
        await asyncio.wait({work})


async def _made(orders: Orders, order: Order, send: Send) -> None:
    wish = order.wish
    kind = "image_generation" if order.model.generates else "image_edit"
    size = f"{wish.size[0]}x{wish.size[1]}" if wish.size else "auto"
    common = {"size": size, "quality": "auto", "background": "opaque"}

    def partial(number: int, picture: bytes) -> None:
        send(
            {
                "type": f"{kind}.partial_image",
                "b64_json": base64.b64encode(picture).decode(),
                "partial_image_index": number,
                "created_at": int(time.time()),
                "output_format": "png" if picture.startswith(b"\x89PNG") else "jpeg",
                **common,
            }
        )

    async for shown in orders.carried_out(order, lambda _: _Partials(wish.partial_images, partial)):
        send(
            {
                "type": f"{kind}.completed",
                "created_at": int(time.time()),
                "output_format": "png",
                "usage": _USAGE,
                **common,
                **shown,
            }
        )


def _text(event: dict[str, Any]) -> str:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"
