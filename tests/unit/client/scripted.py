"""A ComfyUI whose every answer a test can dictate: the client's mishaps cannot be had from a well server."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import threading
import zlib
from collections.abc import Awaitable, Callable
from typing import Any, Self

from aiohttp import WSMsgType, web

Story = Callable[["ScriptedServer", str], Awaitable[None]]


def png(width: int = 8, height: int = 8) -> bytes:
    """A small real PNG."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\x00\x00\x00"
    rows = (b"\x00" + b"\x80" * 3 * width) * height
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


async def succeed(server: ScriptedServer, prompt_id: str) -> None:
    """The messages of a job that ends well, three sampler steps long."""
    await server.start(prompt_id)
    for step in (1, 2, 3):
        await server.step(prompt_id, step, 3)
    await server.finish(prompt_id)


async def wait_in_queue(server: ScriptedServer, prompt_id: str) -> None:
    """The job stays pending."""


async def run_for_ever(server: ScriptedServer, prompt_id: str) -> None:
    """The job starts and never ends."""
    await server.start(prompt_id)


class ScriptedServer:
    """Set `story`, `answers` and the rest before the client comes; read `requests` afterwards.

    `answers[path]` is a list used up one by one before the normal answer: a (status, body) pair,
    "drop" (the connection breaks before the request is carried out), "drop after" (afterwards) or
    "swallow" (no answer ever comes).
    """

    def __init__(self, token: str | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.token, self.tls = token, tls
        self.story: Story = succeed
        self.answers: dict[str, list[Any]] = {}
        self.answers_for_ever: dict[str, Any] = {}
        self.picture = png()
        self.cookie = ""
        self.requests: list[tuple[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.server_names: list[str | None] = []
        self.pending: list[str] = []
        self.running: list[str] = []
        self.history: dict[str, Any] = {}
        self.cancelled: set[str] = set()
        self.port = 0
        self.told = threading.Event()
        self._sockets: dict[str, web.WebSocketResponse] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._runner: web.AppRunner | None = None
        if tls is not None:
            tls.sni_callback = lambda _socket, name, _context: self.server_names.append(name)

    # Life

    def __enter__(self) -> Self:
        self._thread.start()
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def up(self) -> None:
        self._wait(self.raise_up())

    def down(self) -> None:
        self._wait(self.go_down())

    async def raise_up(self) -> None:
        app = web.Application(middlewares=[self._gate])
        app.router.add_get("/ws", self._ws)
        app.router.add_post("/prompt", self._prompt)
        app.router.add_get("/api/jobs/{id}", self._job)
        app.router.add_get("/queue", self._queue)
        app.router.add_post("/queue", self._delete)
        app.router.add_post("/interrupt", self._interrupt)
        app.router.add_get("/history/{id}", self._history)
        app.router.add_get("/view", self._view)
        app.router.add_post("/upload/image", self._upload)
        app.router.add_get("/system_stats", self._stats)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self.tls, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def go_down(self) -> None:
        for socket in list(self._sockets.values()):
            await socket.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    def sent(self, path: str) -> list[Any]:
        return [body for where, body in self.requests if where == path]

    # What a story does

    async def say(self, kind: str, **data: Any) -> None:
        for socket in list(self._sockets.values()):
            await socket.send_str(json.dumps({"type": kind, "data": data}))

    async def hang_up(self) -> None:
        for socket in list(self._sockets.values()):
            await socket.close()

    async def start(self, prompt_id: str) -> None:
        self.pending.remove(prompt_id)
        self.running.append(prompt_id)
        await self.say("execution_start", prompt_id=prompt_id)
        await self.say("execution_cached", nodes=[], prompt_id=prompt_id)
        self.told.set()

    async def step(self, prompt_id: str, value: int, most: int, node: str = "sampler") -> None:
        state = {"value": value, "max": most, "state": "running", "node_id": node, "prompt_id": prompt_id}
        await self.say("progress_state", prompt_id=prompt_id, nodes={node: state})

    async def finish(self, prompt_id: str) -> None:
        images = [{"filename": "edit_00001_.png", "subfolder": "comfystack", "type": "output"}]
        await self.say("executed", node="saved", output={"images": images}, prompt_id=prompt_id)
        await self.say("execution_success", prompt_id=prompt_id)
        self.end(prompt_id, {"saved": {"images": images}}, "success", "execution_success", {})
        await self.say("executing", node=None, prompt_id=prompt_id)

    def end(self, prompt_id: str, outputs: Any, status: str, kind: str, data: dict[str, Any]) -> None:
        self.running.remove(prompt_id)
        self.history[prompt_id] = {
            "outputs": outputs,
            "status": {
                "status_str": status,
                "completed": status == "success",
                "messages": [["execution_start", {}], [kind, {"prompt_id": prompt_id, **data}]],
            },
        }

    # Answers

    @web.middleware
    async def _gate(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.headers.append(dict(request.headers))
        body = await request.read()
        is_json = request.content_type == "application/json"
        self.requests.append((request.path, json.loads(body) if body and is_json else body))
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.Response(status=401, text="<h1>401 Authorization Required</h1>")
        queued = self.answers.get(request.path)
        answer = queued.pop(0) if queued else self.answers_for_ever.get(request.path)
        if answer == "drop":
            return _drop(request)
        if answer == "swallow":
            await asyncio.sleep(3600)
        if answer == "drop after":
            await handler(request)
            return _drop(request)
        if answer is not None:
            status, content = answer
            headers = {"Location": str(content)} if 300 <= status < 400 else {}
            if isinstance(content, str):
                return web.Response(status=status, text=content, headers=headers)
            return web.json_response(content, status=status)
        reply: web.StreamResponse = await handler(request)
        return reply

    async def _ws(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        client = request.query["clientId"]
        self._sockets[client] = socket
        await socket.send_json({"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 0}}}})
        async for message in socket:
            if message.type is WSMsgType.ERROR:
                break
        self._sockets.pop(client, None)
        return socket

    async def _prompt(self, request: web.Request) -> web.Response:
        prompt_id = (await request.json())["prompt_id"]
        self.pending.append(prompt_id)
        task = asyncio.ensure_future(self.story(self, prompt_id))
        self._tasks.add(task)
        return web.json_response({"prompt_id": prompt_id, "number": 1, "node_errors": {}})

    async def _job(self, request: web.Request) -> web.Response:
        name = request.match_info["id"]
        status = (
            "pending"
            if name in self.pending
            else "in_progress"
            if name in self.running
            else "completed"
            if name in self.history
            else None
        )
        if status is None:
            return web.json_response({"error": "Job not found"}, status=404)
        return web.json_response({"id": name, "status": status})

    async def _queue(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "queue_running": [[0, name, {}, {}, []] for name in self.running],
                "queue_pending": [[n, name, {}, {}, []] for n, name in enumerate(self.pending, 1)],
            }
        )

    async def _delete(self, request: web.Request) -> web.Response:
        for name in (await request.json())["delete"]:
            if name in self.pending:
                self.pending.remove(name)
        return web.Response()

    async def _interrupt(self, request: web.Request) -> web.Response:
        name = (await request.json())["prompt_id"]
        if name in self.running:
            self.end(
                name, {}, "error", "execution_interrupted", {"node_id": "sampler", "node_type": "KSampler"}
            )
        return web.Response()

    async def _history(self, request: web.Request) -> web.Response:
        name = request.match_info["id"]
        return web.json_response({name: self.history[name]} if name in self.history else {})

    async def _view(self, _: web.Request) -> web.Response:
        return web.Response(body=self.picture, content_type="image/png")

    async def _upload(self, request: web.Request) -> web.Response:
        named = re.search(rb'name="image"; filename="([^"]+)"', await request.read())
        assert named, "the upload has a field `image` with a file name"
        # A server may rename an upload; a client that goes on with its own name edits another picture.
        return web.json_response({"name": f"stored {named[1].decode()}", "subfolder": "", "type": "input"})

    async def _stats(self, _: web.Request) -> web.Response:
        headers = {"Set-Cookie": self.cookie} if self.cookie else {}
        return web.json_response({"system": {"comfyui_version": "0.33.0"}, "devices": []}, headers=headers)


def _drop(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.close()
    return web.Response()
