"""WebSocket through ARR, with the one thing that ARR 3 cannot pass: compressed frames."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from aiohttp import web
from multidict import CIMultiDict

from . import replies
from .errors import IisError
from .exchange import Exchange
from .proxysettings import ProxySettings

_CONNECT_SECONDS = 21.0


def is_upgrade(exchange: Exchange) -> bool:
    """Whether the client asks for a WebSocket."""
    asked = exchange.request.headers
    tokens = {token.strip().lower() for token in asked.get("Connection", "").split(",")}
    return "upgrade" in tokens and asked.get("Upgrade", "").lower() == "websocket"


class _FromClient:
    """Takes the bytes that aiohttp reads off the client's connection once it is no longer HTTP."""

    def __init__(self, backend: asyncio.StreamWriter, *, doomed: bool) -> None:
        self._backend = backend
        self._doomed = doomed

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        if self._doomed:
            self._backend.close()
        elif not self._backend.is_closing():
            self._backend.write(data)
        return False, b""

    def feed_eof(self) -> None:
        self._backend.close()


async def run(
    exchange: Exchange,
    settings: ProxySettings,
    address: tuple[str, int],
    target: str,
    headers: CIMultiDict[str],
) -> web.StreamResponse:
    """Open the socket to the backend and pass bytes both ways until one side ends.

    An answer other than 101 is passed on as it is. Raises OSError or TimeoutError when nothing answers.
    """
    reader, writer = await asyncio.wait_for(asyncio.open_connection(*address), _CONNECT_SECONDS)
    try:
        writer.write(_request_head(target, headers))
        status, received = await asyncio.wait_for(_response_head(reader), settings.timeout)
        if status != 101:
            body = await asyncio.wait_for(_body(reader, received), settings.timeout)
            return await _refused(exchange, settings, status, received, body)
        return await _pass_on(exchange, settings, reader, writer, received)
    finally:
        writer.close()


def _request_head(target: str, headers: CIMultiDict[str]) -> bytes:
    lines = [f"GET {target} HTTP/1.1", "Upgrade: websocket", "Connection: Upgrade"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")


async def _response_head(reader: asyncio.StreamReader) -> tuple[int, CIMultiDict[str]]:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("utf-8", "surrogateescape")
        first, *lines = head.rstrip("\r\n").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        return int(first.split(" ", 2)[1]), CIMultiDict((name, value.strip()) for name, _, value in pairs)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, IndexError) as error:
        raise ConnectionError(f"the backend's answer to the upgrade is not HTTP: {error}") from None


async def _body(reader: asyncio.StreamReader, headers: CIMultiDict[str]) -> bytes:
    if headers.get("Transfer-Encoding", "").lower() == "chunked":
        body = b""
        while size := int((await reader.readline()).split(b";")[0], 16):
            body += await reader.readexactly(size)
            await reader.readline()
        return body
    if "Content-Length" in headers:
        return await reader.readexactly(int(headers["Content-Length"]))
    return await reader.read()


async def _refused(
    exchange: Exchange, settings: ProxySettings, status: int, received: CIMultiDict[str], body: bytes
) -> web.StreamResponse:
    if exchange.config.section("httpErrors").text("existingResponse") != "PassThrough":
        raise IisError(status, 0, "The backend refused the WebSocket; its own answer was replaced")
    reply = replies.Reply(status, _visible(exchange, settings, received))
    reply.headers["Content-Length"] = str(len(body))
    reply.force_close()
    await replies.begin(exchange, reply)
    await reply.write(body)
    await reply.write_eof()
    return reply


def _visible(exchange: Exchange, settings: ProxySettings, received: CIMultiDict[str]) -> CIMultiDict[str]:
    hidden = {"connection", "keep-alive", "transfer-encoding", "upgrade"}
    headers = CIMultiDict((name, value) for name, value in received.items() if name.lower() not in hidden)
    if settings.arr_response_header:
        headers.add("X-Powered-By", "ARR/3.0")
    return replies.dressed(exchange, headers)


async def _pass_on(
    exchange: Exchange,
    settings: ProxySettings,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    received: CIMultiDict[str],
) -> web.StreamResponse:
    headers = _visible(exchange, settings, received)
    headers["Upgrade"], headers["Connection"] = "websocket", "Upgrade"
    reply = replies.Reply(101, headers)
    await replies.begin(exchange, reply)
    # Packet captures of the real thing show the 101, the backend's first payload, and then a FIN to the
    # client without a close frame. A backend that never speaks is not noticed; ComfyUI speaks at once.
    doomed = "permessage-deflate" in received.get("Sec-WebSocket-Extensions", "").lower()
    # aiohttp types this hook for its own frame reader; it needs no more than feed_data and feed_eof.
    exchange.request.protocol.set_parser(cast("Any", _FromClient(writer, doomed=doomed)))
    client = exchange.request.transport
    try:
        while client is not None and not client.is_closing():
            data = await reader.read(65_536)
            if not data or doomed:
                break
            client.write(data)
    except ConnectionError:
        # The backend reset its side: the client learns it as the end of its own connection.
        exchange.win32 = 64
    if client is not None:
        client.close()
    return reply
