"""Listening on ComfyUI's WebSocket while something happens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.contract.server import Server

_LONGEST_WAIT = 60


class Listener:
    """One WebSocket client; `seen` are the JSON messages and `frames` the binary ones, in order."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self.seen: list[dict[str, Any]] = []
        self.frames: list[bytes] = []

    @property
    def compression(self) -> int:
        return self._socket.compress

    async def say(self, message: dict[str, Any]) -> None:
        await self._socket.send_json(message)

    async def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Reads on until a message is the wanted one."""
        async with asyncio.timeout(_LONGEST_WAIT):
            while True:
                message = await self._socket.receive()
                if message.type == aiohttp.WSMsgType.BINARY:
                    self.frames.append(message.data)
                    continue
                assert message.type == aiohttp.WSMsgType.TEXT, message
                self.seen.append(json.loads(message.data))
                if wanted(self.seen[-1]):
                    return self.seen[-1]

    async def until_done(self, prompt_id: str) -> None:
        """Reads on until the server says that nothing of this job runs any more."""
        await self.until(
            lambda message: is_event(message, "executing", prompt_id) and message["data"]["node"] is None
        )


@asynccontextmanager
async def listening(server: Server, client_id: str, compress: int = 0) -> AsyncIterator[Listener]:
    """A connected listener that has read the greeting."""
    address = f"{server.url.replace('http', 'ws', 1)}/ws?clientId={client_id}"
    async with aiohttp.ClientSession() as session, session.ws_connect(address, compress=compress) as socket:
        listener = Listener(socket)
        await listener.until(lambda message: message["type"] == "status")
        yield listener


def is_event(message: dict[str, Any], kind: str, prompt_id: str) -> bool:
    return bool(message["type"] == kind) and message["data"].get("prompt_id") == prompt_id


async def off_loop(function: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
    """A blocking call, while messages keep arriving."""
    return await asyncio.to_thread(function, *arguments, **more)
