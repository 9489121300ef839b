"""What the roles have configured, with requests sent through it: client, IIS, ARR, port proxy, backend."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.unit.iis.machine import Machine, answering, in_front_of

from .machine import FORGE, SITE
from .story import Story

Send = Callable[[Callable[[Machine], Awaitable[None]]], None]


@pytest.fixture
def deployed(story: Story, tmp_path: Path) -> Send:
    """Runs a test's requests against a copy of the deployed machine."""
    copied = story.machine.copy(tmp_path / "machine")

    @contextlib.asynccontextmanager
    async def serving() -> AsyncIterator[Machine]:
        async with answering() as (backend, port):
            with copied.memory().edit() as state:
                (forward,) = state.portproxy
                forward.connect_address, forward.connect_port = "127.0.0.1", port
            authority = copied.authority.pem().decode()
            async with in_front_of(backend, copied.memory(), authority) as machine:
                yield machine

    def send(requests: Callable[[Machine], Awaitable[None]]) -> None:
        async def inside() -> None:
            async with serving() as machine:
                await asyncio.wait_for(requests(machine), 20)

        asyncio.run(inside())

    return send


def test_a_client_cannot_forge_where_it_comes_from(deployed: Send) -> None:
    async def requests(machine: Machine) -> None:
        forged = {
            "X-Forwarded-For": "10.0.0.1",
            "X-Forwarded-Proto": "gopher",
            "X-Forwarded-Host": "evil.test",
        }
        await machine.get("/", headers=forged)
        seen = machine.backend.last.headers
        assert seen["x-forwarded-for"] == "127.0.0.1"
        assert seen["x-forwarded-proto"] == "https"
        assert seen["x-forwarded-host"] == seen["host"] == f"{SITE}:{machine.ports.https}"

    deployed(requests)


def test_no_answer_tells_what_serves(deployed: Send) -> None:
    async def requests(machine: Machine) -> None:
        for method, path in (("GET", "/"), ("POST", "/prompt"), ("GET", "/web.config")):
            response, _ = await machine.send(method, path)
            assert not {"Server", "X-Powered-By"} & set(response.headers), (path, response.headers)

    deployed(requests)


def test_progress_is_not_held_back(deployed: Send) -> None:
    async def requests(machine: Machine) -> None:
        async with machine.session.get(machine.url("/progress")) as response:
            assert await response.content.readline() == b"step 1\n"
            machine.backend.release.set()
            assert await response.content.readline() == b"step 2\n"

    deployed(requests)


def test_each_picture_is_the_one_that_was_asked_for(deployed: Send) -> None:
    async def requests(machine: Machine) -> None:
        for name in ("a", "b"):
            _, body = await machine.get(f"/picture?filename={name}")
            assert body == name

    deployed(requests)


def test_a_token_in_an_address_is_not_logged(deployed: Send) -> None:
    async def requests(machine: Machine) -> None:
        page = machine.url("/?token=secret")
        await machine.get("/?token=secret")
        await machine.get("/assets/index.js", headers={"Referer": page})
        folder = machine.store.path(r"C:\inetpub\logs\LogFiles")
        logged = "".join(path.read_text() for path in folder.rglob("*.log"))
        assert " /assets/index.js " in logged
        assert "secret" not in logged

    deployed(requests)


def test_a_websocket_that_offers_compression_lives(deployed: Send) -> None:
    async def requests(machine: Machine) -> None:
        async with machine.session.ws_connect(machine.url("/ws"), compress=15) as socket:
            assert (await socket.receive_json())["type"] == "status"
            await socket.send_str("hello")
            assert await socket.receive_str() == "echo hello"
        assert socket.close_code == aiohttp.WSCloseCode.OK

    deployed(requests)


@pytest.mark.parametrize(
    ("section", "setting", "default", "broken"),
    [
        ("system.webServer/proxy", "minResponseBuffer", 256, test_progress_is_not_held_back),
        ("system.webServer/proxy", "arrResponseHeader", True, test_no_answer_tells_what_serves),
        ("system.webServer/proxy/cache", "enabled", True, test_each_picture_is_the_one_that_was_asked_for),
    ],
)
def test_each_setting_is_needed(
    story: Story, deployed: Send, section: str, setting: str, default: Any, broken: Callable[[Send], None]
) -> None:
    assert story.memory.read().server_config[section][setting] != default

    def without(requests: Callable[[Machine], Awaitable[None]]) -> None:
        async def undone(machine: Machine) -> None:
            with machine.store.edit() as state:
                del state.server_config[section][setting]
            await asyncio.wait_for(requests(machine), 1)

        deployed(undone)

    with pytest.raises((AssertionError, TimeoutError)):
        broken(without)


def test_a_name_without_a_service_says_so(deployed: Send) -> None:
    async def requests(machine: Machine) -> None:
        response, body = await machine.get("/any/page", name=FORGE)
        assert (response.status, response.headers["Retry-After"]) == (503, "3600")
        assert "Not there yet" in body
        assert FORGE in body
        response, _ = await machine.get("/any/page", name=FORGE, scheme="http")
        assert response.headers["Location"] == f"https://{FORGE}/any/page"
        assert machine.backend.requests == []

    deployed(requests)


def test_browsers_are_told_to_keep_to_https_by_every_name(deployed: Send) -> None:
    async def requests(machine: Machine) -> None:
        for name in (SITE, FORGE):
            response, _ = await machine.get("/", name=name)
            assert response.headers["Strict-Transport-Security"] == "max-age=15768000"

    deployed(requests)


def test_the_page_of_another_site_opens_no_websocket(deployed: Send) -> None:
    async def requests(machine: Machine) -> None:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await machine.session.ws_connect(machine.url("/ws"), headers={"Origin": "https://evil.example"})
        assert refused.value.status == 403
        assert machine.backend.requests == []

    deployed(requests)
