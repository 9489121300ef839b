"""The WebSocket tells the same story as a real server's, in the same order."""

from __future__ import annotations

import asyncio
import copy
import io
import struct
import uuid
from typing import Any

import pytest
from PIL import Image

from tests.contract import samples
from tests.contract.events import Listener, is_event, listening, off_loop
from tests.contract.server import Server


@pytest.fixture(autouse=True)
def idle(server: Server) -> None:
    server.wait_idle()
    samples.replay(server, "upload_image")
    samples.replay(server, "upload_nonimage")


async def story(server: Server, sample: str) -> list[dict[str, Any]]:
    """Everything one client hears from submitting a recorded graph to its end."""
    client = str(uuid.uuid4())
    async with listening(server, client) as listener:
        listener.seen.clear()
        body = samples.load(sample)["request"]["json"]
        graph = copy.deepcopy(body["prompt"])
        for node in graph.values():
            image = node["inputs"].get("image")
            if isinstance(image, str):
                node["inputs"]["image"] = image.replace(".png", f"-{server.token}.png")
        prompt_id = await off_loop(server.submit, graph, client_id=client)
        await listener.until_done(prompt_id)
        return list(listener.seen)


@pytest.mark.parametrize(
    ("graph", "recorded", "warm"),
    [
        ("prompt_loadimage", "ws_loadimage", False),
        ("prompt_ok", "ws_cached", True),
        ("prompt_runtime_err", "ws_runtime_err", False),
    ],
)
def test_events_come_as_recorded(server: Server, graph: str, recorded: str, warm: bool) -> None:
    if warm:
        server.run(samples.graph(graph))
    else:
        server.forget_results()
    assert samples.normal_events(asyncio.run(story(server, graph)), server) == samples.normal_events(
        samples.load(recorded)
    )


def test_the_greeting_names_the_session(server: Server) -> None:
    async def greet() -> dict[str, Any]:
        async with listening(server, "my-own-id") as listener:
            return dict(listener.seen[0])

    greeting = asyncio.run(greet())
    assert greeting["data"]["sid"] == "my-own-id"
    assert samples.normal(greeting) == samples.normal(samples.load("ws_hello"))


def test_an_interrupt_is_told_and_ends_the_job(server: Server) -> None:
    async def interrupt() -> list[dict[str, Any]]:
        client = str(uuid.uuid4())
        graph = samples.graph("prompt_slow")
        graph["1"]["inputs"]["color"] = 0x550000
        async with listening(server, client) as listener:
            prompt_id = await off_loop(server.submit, graph, client_id=client)
            await listener.until(lambda message: is_event(message, "executing", prompt_id))
            await off_loop(server.post, "/interrupt", {"prompt_id": prompt_id})
            await listener.until_done(prompt_id)
            return listener.seen[-3:]

    ending = asyncio.run(interrupt())
    recorded = samples.load("ws_interrupted_end")
    assert [message["type"] for message in ending] == [message["type"] for message in recorded]
    assert ending[0]["data"].keys() == recorded[0]["data"].keys()


def test_an_interrupted_job_without_a_client_is_told_to_everybody(server: Server) -> None:
    async def interrupt() -> None:
        graph = samples.graph("prompt_slow")
        graph["1"]["inputs"]["color"] = 0x660000
        async with listening(server, str(uuid.uuid4())) as stranger:
            prompt_id = await off_loop(server.submit, graph)
            await stranger.until(lambda message: is_event(message, "progress_state", prompt_id))
            await off_loop(server.post, "/interrupt")
            await stranger.until(lambda message: is_event(message, "execution_interrupted", prompt_id))

    asyncio.run(interrupt())


def test_a_job_is_told_to_its_own_client_only(server: Server) -> None:
    async def two_clients() -> list[dict[str, Any]]:
        async with listening(server, str(uuid.uuid4())) as stranger:
            mine = str(uuid.uuid4())
            async with listening(server, mine) as owner:
                prompt_id = await off_loop(server.submit, samples.graph("prompt_ok"), client_id=mine)
                await owner.until_done(prompt_id)
            nobodys = await off_loop(server.submit, samples.graph("prompt_ok"))
            await off_loop(server.finished, nobodys)
            await stranger.until(lambda message: is_event(message, "progress_state", nobodys))
            return list(stranger.seen)

    kinds = {message["type"] for message in asyncio.run(two_clients())}
    assert kinds == {"status", "progress_state"}, "progress of a job without client_id goes to everybody"


def test_a_picture_that_is_saved_to_the_socket_comes_as_a_png_each_time(server: Server) -> None:
    """Two jobs with the same graph: what goes to the socket is never taken from the cache."""
    graph = {
        "made": {
            "class_type": "EmptyImage",
            "inputs": {"width": 24, "height": 16, "batch_size": 2, "color": 1},
        },
        "sent": {"class_type": "SaveImageWebsocket", "inputs": {"images": ["made", 0]}},
    }

    async def frames() -> list[bytes]:
        client = str(uuid.uuid4())
        async with listening(server, client) as listener:
            for _ in range(2):
                prompt_id = await off_loop(server.submit, graph, client_id=client)
                await listener.until_done(prompt_id)
            return listener.frames

    came = asyncio.run(frames())
    assert [struct.unpack(">II", frame[:8]) for frame in came] == [(1, 2)] * 4, "a preview, a PNG"
    assert {Image.open(io.BytesIO(frame[8:])).size for frame in came} == {(24, 16)}


def test_permessage_deflate_is_agreed_to_when_offered(server: Server) -> None:
    """ARR cannot pass such frames: a proxy that forwards the offer breaks, here as with a real server."""

    async def compression(offer: int) -> int:
        async with listening(server, str(uuid.uuid4()), compress=offer) as listener:
            return int(listener.compression)

    assert asyncio.run(compression(15)) > 0
    assert asyncio.run(compression(0)) == 0


def test_a_client_that_names_its_features_is_told_the_servers(server: Server) -> None:
    async def negotiate() -> dict[str, Any]:
        async with listening(server, str(uuid.uuid4())) as listener:
            wish = {"type": "feature_flags", "data": {"supports_preview_metadata": True}}
            await listener.say(wish)
            return dict(await listener.until(lambda message: message["type"] == "feature_flags"))

    answer = asyncio.run(negotiate())
    assert answer["data"] == samples.body("get_features")


def test_a_second_connection_with_the_same_id_takes_over(server: Server) -> None:
    async def take_over() -> tuple[Listener, Listener]:
        client = str(uuid.uuid4())
        async with listening(server, client) as first, listening(server, client) as second:
            prompt_id = await off_loop(server.submit, samples.graph("prompt_ok"), client_id=client)
            await second.until_done(prompt_id)
            return first, second

    first, second = asyncio.run(take_over())
    assert len(first.seen) == 1
    assert len(second.seen) > 1
