"""What the deployed site promises: a request goes in by HTTPS and reaches the backend as it was sent."""

from __future__ import annotations

import asyncio
import gzip
import json

import aiohttp
import pytest

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


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "DELETE", "PUT"])
@on_machine
async def test_every_method_is_forwarded(machine: Machine, method: str) -> None:
    response, body = await machine.send(method, "/userdata/x")
    assert (response.status, body) == (200, "")
    assert machine.backend.last.method == method


@on_machine
async def test_a_compressed_body_is_nobody_elses_business(machine: Machine) -> None:
    packed = gzip.compress(b"pixels")
    headers = {"Content-Encoding": "gzip", "X-Echo-Encoding": "gzip"}
    async with machine.session.post(
        machine.url("/echo"), data=packed, headers=headers, auto_decompress=False
    ) as response:
        assert await response.read() == packed
    assert machine.backend.last.headers["content-encoding"] == "gzip"


@on_machine
async def test_one_connection_serves_request_after_request(machine: Machine) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", machine.ports.http)
    for number in range(3):
        writer.write(f"GET /{number} HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert head.startswith("http/1.1 301 ")
        length = next(line for line in head.splitlines() if line.startswith("content-length:"))
        await reader.readexactly(int(length.split()[1]))
    writer.close()
