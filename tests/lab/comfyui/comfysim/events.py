"""WebSocket clients and what is sent to them: JSON events, and binary previews.

Everything goes through one asyncio queue, so that every client sees events in the order in which they
happened, whichever thread they come from.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import struct
from typing import Any

from aiohttp import ClientError, web
from PIL import Image, ImageOps

_log = logging.getLogger(__name__)

_PREVIEW = 1
_PREVIEW_WITH_METADATA = 4
_JPEG = 1
_PNG = 2


class Hub:
    """The connected clients, by client id. A second connection with the same id replaces the first."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queue: asyncio.Queue[tuple[str | bytes, str | None]] = asyncio.Queue()
        self.sockets: dict[str, web.WebSocketResponse] = {}
        self.feature_flags: dict[str, dict[str, Any]] = {}

    def send(self, event: str, data: dict[str, Any], client: str | None = None) -> None:
        """To one client, or to all of them (None). May be called from any thread."""
        message = json.dumps({"type": event, "data": data})
        self._loop.call_soon_threadsafe(self._queue.put_nowait, (message, client))

    def send_preview(
        self, picture: Image.Image, largest: int | None, metadata: dict[str, Any], client: str | None
    ) -> None:
        """A JPEG of at most `largest` pixels a side, in the form that the client said it understands.

        None: the whole picture, a PNG, as SaveImageWebsocket sends it.
        """
        data = io.BytesIO()
        if largest is None:
            picture.save(data, "PNG", compress_level=1)
        else:
            ImageOps.contain(picture, (largest, largest)).save(data, "JPEG", quality=90)
        if client and self.feature_flags.get(client, {}).get("supports_preview_metadata"):
            kind = "image/png" if largest is None else "image/jpeg"
            head = json.dumps({**metadata, "image_type": kind}).encode()
            frame = struct.pack(">II", _PREVIEW_WITH_METADATA, len(head)) + head
        else:
            frame = struct.pack(">II", _PREVIEW, _PNG if largest is None else _JPEG)
        self._loop.call_soon_threadsafe(self._queue.put_nowait, (frame + data.getvalue(), client))

    async def send_now(self, event: str, data: dict[str, Any], client: str) -> None:
        await self._deliver(json.dumps({"type": event, "data": data}), client)

    async def publish(self) -> None:
        """Delivers for as long as the server runs."""
        while True:
            message, client = await self._queue.get()
            await self._deliver(message, client)

    async def _deliver(self, message: str | bytes, client: str | None) -> None:
        if client is None:
            targets = list(self.sockets.values())
        else:
            targets = [self.sockets[client]] if client in self.sockets else []
        for socket in targets:
            try:
                if isinstance(message, bytes):
                    await socket.send_bytes(message)
                else:
                    await socket.send_str(message)
            except (ClientError, ConnectionError) as error:
                _log.warning("send error: %s", error)
