"""A small stand-in for the edge and ComfyUI, behind a real IIS: just what verify's gateway part asks of them.

usage: python -m tests.real_windows.backend TOKEN_FILE PORT
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def application(token: str) -> web.Application:
    """Everything answers 401 without `token`; ComfyUI's own habits that IIS can spoil are kept."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = (request.headers.get("Authorization"), request.headers.get("X-API-Key"))
        if given[0] != f"Bearer {token}" and given[1] != token:
            return web.Response(status=401, headers={"WWW-Authenticate": 'Bearer realm="real-windows"'})
        host, origin = request.headers["Host"], request.headers.get("Origin")
        if host.startswith("127.") and origin is not None and host not in origin:
            return web.Response(status=403)
        return await handler(request)

    async def stats(_: web.Request) -> web.Response:
        return web.json_response({"system": {"comfyui_version": "none: real-windows"}, "devices": []})

    async def userdata(request: web.Request) -> web.Response:
        # A decoded slash, or one that was encoded again, is no file's name.
        return web.Response(status=404 if request.raw_path.lower().count("%2f") == 1 else 418)

    async def socket(request: web.Request) -> web.WebSocketResponse:
        # Compression is accepted where it is offered: ARR must have taken the offer away.
        opened = web.WebSocketResponse()
        await opened.prepare(request)
        await opened.send_json({"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 0}}}})
        async for _message in opened:
            pass
        return opened

    made = web.Application(middlewares=[guarded])
    made.router.add_get("/system_stats", stats)
    made.router.add_get("/userdata/{rest:.*}", userdata)
    made.router.add_get("/ws", socket)
    return made


def main(token_file: str, port: str) -> None:
    token = Path(token_file).read_text().strip()
    web.run_app(application(token), host="127.0.0.1", port=int(port), print=None)


if __name__ == "__main__":
    main(*sys.argv[1:])
