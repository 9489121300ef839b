"""What a client does to notice that a trap of IIS, URL Rewrite or ARR has snapped (see traps.py)."""

from __future__ import annotations

import asyncio
import json

import aiohttp

from tests.unit.iis.machine import NAME, Machine

CHALLENGE = ".well-known/acme-challenge/token"
TYPED = "5ecre7"


async def _status(machine: Machine, path: str, wanted: int = 200, scheme: str = "https") -> None:
    response, body = await machine.get(path, scheme=scheme)
    assert response.status == wanted, body


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
        assert message.type is aiohttp.WSMsgType.TEXT, message
        assert json.loads(message.data) == {"type": "status"}
        await socket.send_str("hello")
        assert await socket.receive_str() == "echo hello"


async def websocket(machine: Machine) -> None:
    try:
        async with machine.session.ws_connect(machine.url("/ws")) as socket:
            await socket.receive_str()
    except aiohttp.WSServerHandshakeError as refused:
        raise AssertionError(f"refused with {refused.status}") from None


async def foreign_websocket(machine: Machine) -> None:
    for origin in ("https://evil.example", f"https://{NAME}.evil.example", "null"):
        assert await _handshake(machine, origin) == 403, origin
    for own in (f"https://{NAME}", machine.url("", name=NAME)):
        assert await _handshake(machine, own) == 101, own


async def browser(machine: Machine) -> None:
    """A page of the public name asks for something: ComfyUI compares its Origin with Host."""
    response, _ = await machine.get("/queue", headers={"Origin": machine.url("")})
    assert response.status == 200
    assert machine.backend.last.host.startswith(NAME)


async def escapes(machine: Machine) -> None:
    await machine.get("/userdata/a%2Fb?x=%2F")
    assert machine.backend.last.raw_path == "/userdata/a%2Fb?x=%2F"


async def unforged(machine: Machine) -> None:
    names = ("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port")
    await machine.get(
        "/", headers={**dict.fromkeys(names, "forged"), "Forwarded": "forged", "X-Real-IP": "forged"}
    )
    seen = machine.backend.last.headers
    assert not [name for name, value in seen.items() if "forged" in value], seen
    assert seen["x-forwarded-for"] == "127.0.0.1"


async def compressed_page(machine: Machine) -> None:
    response, body = await machine.get("/", headers={"X-Echo-Encoding": "identity"})
    assert response.status == 200, body
    async with machine.session.get(machine.url("/gzip"), auto_decompress=False) as answer:
        assert answer.status == 200


async def exact_token(machine: Machine) -> None:
    for token, wanted in (("aBc1", 200), ("ABC1", 401), ("xaBc1y", 401)):
        response, _ = await machine.get("/private", headers={"Authorization": f"Bearer {token}"})
        assert response.status == wanted, token


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
    assert not done, (await asking)[1]
    machine.backend.release.set()
    response, _ = await asking
    assert response.status == 200


async def progress(machine: Machine) -> None:
    async with machine.session.get(machine.url("/progress")) as response:
        assert await response.content.readline() == b"step 1\n"
        machine.backend.release.set()


async def challenge(machine: Machine) -> None:
    machine.write(CHALLENGE.replace("/", "\\"), "proof")
    response, body = await machine.get(f"/{CHALLENGE}", scheme="http")
    assert (response.status, body) == (200, "proof")


async def honest_redirect(machine: Machine) -> None:
    response, _ = await machine.get("/x?y", scheme="http")
    assert response.headers.get("Location") == f"https://{NAME}/x?y"


async def strict_transport(machine: Machine) -> None:
    response, _ = await machine.get("/")
    assert response.headers.get("Strict-Transport-Security") == "max-age=15768000"


async def silence(machine: Machine) -> None:
    response, _ = await machine.get("/")
    assert not {"Server", "X-Powered-By"} & set(response.headers)


async def clean_log(machine: Machine) -> None:
    await machine.get(f"/?token={TYPED}")
    assert not [line for line in machine.log_lines() if TYPED in line]


async def own_words(machine: Machine) -> None:
    response, body = await machine.send("POST", "/prompt", data=b"{}")
    assert (response.status, body) == (400, '{"error": {"type": "value_not_in_list"}}')


async def own_picture(machine: Machine) -> None:
    for name in ("a", "b"):
        _, body = await machine.get(f"/picture?filename={name}")
        assert body == name


async def own_moves(machine: Machine) -> None:
    response, _ = await machine.get("/moved-to-backend")
    assert response.headers.get("Location") == "http://127.0.0.1:8188/there"
