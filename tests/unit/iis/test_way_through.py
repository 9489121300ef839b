"""What the deployed site promises: a request goes in by HTTPS and reaches the backend as it was sent."""

from __future__ import annotations

import json

import aiohttp

from tests.unit.iis.machine import NAME, Machine, on_machine


@on_machine
async def test_a_request_reaches_the_backend_under_its_public_name(machine: Machine) -> None:
    response, body = await machine.send("POST", "/upload/image?a=1&b=%20", data=b"pixels")
    assert (response.status, body) == (200, "pixels")
    seen = machine.backend.last
    assert seen.method == "POST"
    assert seen.raw_path == "/upload/image?a=1&b=%20"
    assert seen.host == f"{NAME}:{machine.ports.https}"
    assert seen.headers["x-forwarded-proto"] == "https"
    assert seen.headers["x-forwarded-host"] == seen.host
    assert seen.headers["x-forwarded-for"] == "127.0.0.1"


@on_machine
async def test_an_escaped_slash_stays_escaped(machine: Machine) -> None:
    await machine.get("/userdata/a%2Fb%20c.json?overwrite=true")
    assert machine.backend.last.raw_path == "/userdata/a%2Fb%20c.json?overwrite=true"


@on_machine
async def test_a_websocket_passes_frames_both_ways(machine: Machine) -> None:
    async with machine.session.ws_connect(machine.url("/ws"), compress=15) as socket:
        assert json.loads(await socket.receive_str()) == {"type": "status"}
        await socket.send_str("hello")
        assert await socket.receive_str() == "echo hello"
        picture = bytes(range(256)) * 2000
        await socket.send_bytes(picture)
        assert await socket.receive_bytes() == picture
        assert socket.compress == 0
    assert socket.close_code == aiohttp.WSCloseCode.OK
