"""/ws: one connection per client id, the server's state first, then every event."""

from __future__ import annotations

import json
import logging
import uuid

from aiohttp import WSMsgType, web

from .info_routes import server_features
from .state import STATE, State

routes = web.RouteTableDef()
_log = logging.getLogger(__name__)


@routes.get("/ws")
async def websocket(request: web.Request) -> web.WebSocketResponse:
    state = request.app[STATE]
    # aiohttp agrees to permessage-deflate whenever the client offers it. ARR cannot pass such frames, so the
    # proxy in front has to take the offer out; the simulator must not be kinder than the real server.
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    client = request.query.get("clientId", "") or uuid.uuid4().hex
    state.hub.sockets[client] = socket
    state.hub.feature_flags[client] = {}
    try:
        await state.hub.send_now("status", {"status": state.queue_info(), "sid": client}, client)
        if state.executor.client == client and state.executor.node is not None:
            await state.hub.send_now("executing", {"node": state.executor.node}, client)
        first = True
        async for message in socket:
            if message.type == WSMsgType.TEXT:
                await _received(state, client, message.data, first)
                first = False
            elif message.type == WSMsgType.ERROR:
                _log.warning("ws connection closed with exception %s", socket.exception())
    finally:
        state.hub.sockets.pop(client, None)
        state.hub.feature_flags.pop(client, None)
    return socket


async def _received(state: State, client: str, text: str, first: bool) -> None:
    """Only a client's very first message means anything, and only if it is `feature_flags`."""
    try:
        message = json.loads(text)
    except ValueError:
        _log.warning("Invalid JSON received from client %s: %s", client, text)
        return
    if first and isinstance(message, dict) and message.get("type") == "feature_flags":
        state.hub.feature_flags[client] = message.get("data", {})
        features = server_features(state.setup.options.max_upload_size)
        await state.hub.send_now("feature_flags", features, client)
