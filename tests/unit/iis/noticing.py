"""What a client does to notice that a trap of IIS, URL Rewrite or ARR has snapped (see traps.py).

Each ends quietly on a sound machine; on another, its AssertionError says what was seen.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from unittest import mock

import aiohttp

from tests.lab.windows_host.winsim.iis import worker
from tests.lab.windows_host.winsim.iis.replies import REASON, WORKER
from tests.unit.iis.machine import NAME, Machine

CHALLENGE = ".well-known/acme-challenge/token"
TYPED = "5ecre7"


async def _status(machine: Machine, path: str, wanted: int = 200, scheme: str = "https") -> None:
    response, body = await machine.get(path, scheme=scheme)
    assert response.status == wanted, body or f"{response.status} without a word"


async def page(machine: Machine) -> None:
    await _status(machine, "/")


async def _handshake(machine: Machine, origin: str) -> int:
    """The status of a WebSocket's handshake."""
    try:
        async with machine.session.ws_connect(machine.url("/ws"), headers={"Origin": origin}):
            return 101
    except aiohttp.WSServerHandshakeError as refused:
        return refused.status


async def compressed_websocket(machine: Machine) -> None:
    async with machine.session.ws_connect(machine.url("/ws"), compress=15) as socket:
        message = await socket.receive()
        assert message.type is aiohttp.WSMsgType.TEXT, "the WebSocket ended before its first message"
        assert json.loads(message.data) == {"type": "status"}
        await socket.send_str("hello")
        assert await socket.receive_str() == "echo hello"


async def websocket(machine: Machine) -> None:
    try:
        async with machine.session.ws_connect(machine.url("/ws")) as socket:
            await socket.receive_str()
    except aiohttp.WSServerHandshakeError as refused:
        raise AssertionError(f"the WebSocket was refused with {refused.status}") from None


async def foreign_websocket(machine: Machine) -> None:
    for origin in ("https://evil.example", f"https://{NAME}.evil.example", "null"):
        assert await _handshake(machine, origin) == 403, f"a page of {origin} opened a WebSocket"
    for own in (f"https://{NAME}", machine.url("", name=NAME)):
        assert await _handshake(machine, own) == 101, own


async def browser(machine: Machine) -> None:
    """A page of the public name asks for something: ComfyUI compares its Origin with Host."""
    response, _ = await machine.get("/queue", headers={"Origin": machine.url("")})
    assert response.status == 200, f"{response.status} for a page of the public name"
    assert machine.backend.last.host.startswith(NAME)


async def escapes(machine: Machine) -> None:
    await machine.get("/userdata/a%2Fb?x=%2F")
    seen = machine.backend.last.raw_path
    assert seen == "/userdata/a%2Fb?x=%2F", f"the backend was asked for {seen}"


async def unforged(machine: Machine) -> None:
    names = ("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port")
    await machine.get(
        "/", headers={**dict.fromkeys(names, "forged"), "Forwarded": "forged", "X-Real-IP": "forged"}
    )
    seen = machine.backend.last.headers
    forged = [name for name, value in seen.items() if "forged" in value]
    assert not forged, f"the backend is told the client's own {forged[0]}"
    assert seen["x-forwarded-for"] == "127.0.0.1", "the backend is told an address with a port"


async def compressed_page(machine: Machine) -> None:
    async with machine.session.get(machine.url("/gzip"), auto_decompress=False) as answer:
        assert answer.status == 200, answer.headers.get(REASON)


async def exact_token(machine: Machine) -> None:
    for token, wanted in (("aBc1", 200), ("ABC1", 401), ("xaBc1y", 401)):
        response, _ = await machine.get("/private", headers={"Authorization": f"Bearer {token}"})
        assert response.status == wanted, f"the token {token} is answered with {response.status}"


async def large_upload(machine: Machine) -> None:
    response, body = await machine.send("POST", "/upload/image", data=b"x" * 30_000_001)
    assert response.status == 200, body


async def long_query(machine: Machine) -> None:
    await _status(machine, f"/view?filename={'x' * 3000}")


async def odd_names(machine: Machine) -> None:
    for path in ("/userdata/a+b", "/userdata/a%252Fb", "/bin/x", "/notes.config"):
        await _status(machine, path)


async def long_job(machine: Machine) -> None:
    """Longer than ARR's own time-out, which test_traps.py shortens to a second."""
    asking = asyncio.create_task(machine.get("/slow"))
    await machine.backend.arrived.wait()
    done, _ = await asyncio.wait({asking}, timeout=1.5)
    assert not done, (await asking)[1] if done else ""
    machine.backend.release.set()
    response, _ = await asking
    assert response.status == 200


async def progress(machine: Machine) -> None:
    answering = asyncio.ensure_future(machine.session.get(machine.url("/progress")))
    await machine.backend.arrived.wait()
    done, _ = await asyncio.wait({answering}, timeout=1)
    machine.backend.release.set()
    async with await answering as response:
        assert done, "nothing of the answer came before all of it was there"
        assert await response.content.readline() == b"step 1\n"


async def challenge(machine: Machine) -> None:
    machine.write(CHALLENGE.replace("/", "\\"), "proof")
    response, body = await machine.get(f"/{CHALLENGE}", scheme="http")
    assert (response.status, body) == (200, "proof"), (
        f"{response.status} for the authority's question {response.headers.get(REASON, '')}"
    )


async def honest_redirect(machine: Machine) -> None:
    response, _ = await machine.get("/x?y", scheme="http")
    seen = response.headers.get("Location", "")
    assert seen == f"https://{NAME}/x?y", f"sent to {re.sub(r'[0-9]{4,}', 'PORT', seen)}"


async def first_certificate(machine: Machine) -> None:
    """The name is new: it has plain HTTP, and no certificate yet."""
    with machine.store.edit() as state:
        state.sites["qwen"].bindings = [one for one in state.sites["qwen"].bindings if one.protocol == "http"]
    response, _ = await machine.get("/", scheme="http")
    if response.status in (301, 302):
        try:
            await machine.get("/")
        except aiohttp.ClientError:
            raise AssertionError("visitors are sent to HTTPS, where nothing answers") from None


async def strict_transport(machine: Machine) -> None:
    response, _ = await machine.get("/")
    seen = response.headers.get("Strict-Transport-Security")
    assert seen == "max-age=15768000", f"Strict-Transport-Security is {seen}"


async def silence(machine: Machine) -> None:
    response, _ = await machine.get("/")
    told = [response.headers[name] for name in ("Server", "X-Powered-By") if name in response.headers]
    assert not told, f"an answer names {', '.join(told)}"


async def clean_log(machine: Machine) -> None:
    await machine.get(f"/?token={TYPED}")
    await machine.get("/", headers={"Referer": machine.url(f"/?token={TYPED}")})
    assert not [line for line in machine.log_lines() if TYPED in line], "the log has the token"


async def own_words(machine: Machine) -> None:
    response, body = await machine.send("POST", "/prompt", data=b"{}")
    assert (response.status, body) == (400, '{"error": {"type": "value_not_in_list"}}'), (
        "ComfyUI's reason did not arrive"
    )


async def own_picture(machine: Machine) -> None:
    for name in ("a", "b"):
        _, body = await machine.get(f"/picture?filename={name}")
        assert body == name, f"asked for {name}, got {body}"


async def own_moves(machine: Machine) -> None:
    response, _ = await machine.get("/moved-to-backend")
    seen = response.headers["Location"]
    assert seen == "http://127.0.0.1:8188/there", f"the backend's {seen.partition(':')[0]} is not its own"


async def _worker(machine: Machine) -> None:
    response, _ = await machine.get("/")
    told = response.headers.get(WORKER, "")
    assert not told, f"the worker process: {told}"


async def worker_process(machine: Machine) -> None:
    """The first visitor after a start."""
    await _worker(machine)


async def long_silence(machine: Machine) -> None:
    """A visitor after a night without any."""
    await _worker(machine)
    with mock.patch.object(worker, "clock", return_value=time.monotonic() + 8 * 3600):
        await _worker(machine)


async def long_socket(machine: Machine) -> None:
    """A WebSocket that outlives the daily recycle, which test_traps.py shortens to a second."""
    async with machine.session.ws_connect(machine.url("/ws")) as socket:
        await socket.receive_str()
        ended = asyncio.ensure_future(socket.receive())
        done, _ = await asyncio.wait({ended}, timeout=1.5)
        ended.cancel()
        assert not done, "the WebSocket was cut"
