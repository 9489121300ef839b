"""A submitted job is followed to its end, whatever the socket, the proxy and the server do."""

from __future__ import annotations

import asyncio

import pytest
from comfystack import (
    JobCancelledError,
    Progress,
    ServerGoneError,
    jobs,
    transport,
)

from .conftest import GRAPH, SAVED, Connect
from .scripted import ScriptedServer, succeed


def test_without_a_websocket_the_job_is_followed_by_looking(server: ScriptedServer, connect: Connect) -> None:
    server.answers_for_ever["/ws"] = (404, "no such route")
    assert connect(server).run(GRAPH).images == SAVED


def test_a_server_without_the_jobs_route_is_followed_by_its_queue(
    server: ScriptedServer, connect: Connect
) -> None:
    async def looked(server: ScriptedServer, times: int) -> None:
        while len(server.sent("/queue")) < times:
            await asyncio.sleep(0.01)

    async def story(server: ScriptedServer, prompt_id: str) -> None:
        server.answers_for_ever[f"/api/jobs/{prompt_id}"] = (404, "no such route")
        await looked(server, 2)
        await server.start(prompt_id)
        await looked(server, 4)
        await server.finish(prompt_id)

    server.answers_for_ever["/ws"] = (404, "no such route")
    server.story = story
    seen: list[str] = []
    assert connect(server).run(GRAPH, lambda progress: seen.append(progress.state)).images == SAVED
    assert list(dict.fromkeys(seen)) == ["queued", "running", "finished"]


def test_a_socket_that_told_everything_is_asked_no_history(server: ScriptedServer, connect: Connect) -> None:
    result = connect(server).run(GRAPH)
    assert [image.filename for image in result.images] == ["edit_00001_.png"]
    assert not server.sent(f"/history/{result.prompt_id}")


def test_the_next_job_hears_on_the_same_socket(server: ScriptedServer, connect: Connect) -> None:
    client = connect(server)
    for _ in range(3):
        assert client.run(GRAPH).images == SAVED
    assert len(server.sent("/ws")) == 1
    assert len({body["client_id"] for body in server.sent("/prompt")}) == 1


def test_a_socket_that_was_closed_between_two_jobs_is_dialled_anew(
    server: ScriptedServer, connect: Connect
) -> None:
    client = connect(server)
    assert client.run(GRAPH).images == SAVED
    server.down()
    server.up()
    assert client.run(GRAPH).images == SAVED


def test_a_socket_of_long_ago_is_not_used(
    server: ScriptedServer, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "SPARE_SECONDS", -1.0)
    client = connect(server)
    for _ in range(2):
        assert client.run(GRAPH).images == SAVED
    assert len(server.sent("/ws")) == 2


def test_a_job_that_told_no_picture_has_its_history_looked_at(
    server: ScriptedServer, connect: Connect
) -> None:
    async def story(server: ScriptedServer, prompt_id: str) -> None:
        await server.start(prompt_id)
        await server.say("executed", node="saved", output=None, prompt_id=prompt_id)
        await server.say("execution_success", prompt_id=prompt_id)
        images = [{"filename": "kept.png", "subfolder": "", "type": "output"}]
        server.end(prompt_id, {"saved": {"images": images}}, "success", "execution_success", {})
        await server.say("executing", node=None, prompt_id=prompt_id)

    server.story = story
    assert [image.filename for image in connect(server).run(GRAPH).images] == ["kept.png"]


def test_a_lost_websocket_does_not_lose_the_job(server: ScriptedServer, connect: Connect) -> None:
    async def story(server: ScriptedServer, prompt_id: str) -> None:
        await server.start(prompt_id)
        await server.hang_up()
        await server.finish(prompt_id)

    server.story = story
    assert connect(server).run(GRAPH).images == SAVED


def test_a_websocket_that_comes_back_tells_the_rest(server: ScriptedServer, connect: Connect) -> None:
    async def story(server: ScriptedServer, prompt_id: str) -> None:
        await server.start(prompt_id)
        await server.hang_up()
        while len(server.sent("/ws")) < 2:
            await asyncio.sleep(0.01)
        while not server._sockets:
            await asyncio.sleep(0.01)
        await server.step(prompt_id, 7, 9)
        await server.finish(prompt_id)

    server.story = story
    seen: list[Progress] = []
    assert connect(server).run(GRAPH, seen.append).images == SAVED
    assert 7 in [p.step for p in seen]


def test_a_proxy_that_drops_every_socket_is_not_hammered(
    server: ScriptedServer, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(server: ScriptedServer, prompt_id: str) -> None:
        await server.start(prompt_id)
        await server.hang_up()
        while len(server.sent(f"/api/jobs/{prompt_id}")) < 4:
            await asyncio.sleep(0.01)
        await server.finish(prompt_id)

    monkeypatch.setattr(jobs, "REDIAL_SECONDS", 60)
    server.story = story
    assert connect(server).run(GRAPH).images == SAVED
    assert len(server.sent("/ws")) == 1


def test_the_limit_of_one_exchange_is_not_the_limit_of_the_socket(
    server: ScriptedServer, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(server: ScriptedServer, prompt_id: str) -> None:
        await server.start(prompt_id)
        await asyncio.sleep(0.5)  # longer than the limits below
        await server.finish(prompt_id)

    monkeypatch.setattr(transport, "EXCHANGE_SECONDS", 0.3)
    monkeypatch.setattr(transport, "HANDSHAKE_SECONDS", 0.3)
    server.story = story
    assert connect(server).run(GRAPH).images == SAVED
    assert len(server.sent("/ws")) == 1


def test_a_handshake_that_is_swallowed_is_not_waited_for(
    server: ScriptedServer, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "HANDSHAKE_SECONDS", 0.1)
    server.answers_for_ever["/ws"] = "swallow"
    assert connect(server).run(GRAPH).images == SAVED


@pytest.mark.parametrize("socket", [True, False], ids=["with a socket", "without one"])
def test_a_job_deleted_from_the_queue_ends_instead_of_waiting_for_ever(
    server: ScriptedServer, connect: Connect, socket: bool
) -> None:
    async def story(server: ScriptedServer, prompt_id: str) -> None:
        server.pending.remove(prompt_id)

    server.story = story
    if not socket:
        server.answers_for_ever["/ws"] = (404, "no such route")
    with pytest.raises(JobCancelledError, match="deleted from the queue"):
        connect(server).run(GRAPH)


def test_a_waiting_job_says_how_many_are_before_it(server: ScriptedServer, connect: Connect) -> None:
    server.running, server.pending = ["a"], ["b"]

    async def story(server: ScriptedServer, prompt_id: str) -> None:
        while not seen:
            await asyncio.sleep(0.01)
        await succeed(server, prompt_id)

    seen: list[int] = []
    server.story = story
    connect(server).run(GRAPH, lambda p: seen.append(p.ahead) if p.state == "queued" and p.ahead else None)
    assert seen == [2]


def test_a_server_that_restarts_with_the_job_is_waited_for(server: ScriptedServer, connect: Connect) -> None:
    async def story(server: ScriptedServer, prompt_id: str) -> None:
        await server.start(prompt_id)
        await server.go_down()
        await asyncio.sleep(0.1)  # long enough for refused connections
        await server.finish(prompt_id)
        await server.raise_up()

    server.story = story
    assert connect(server).run(GRAPH).images == SAVED


def test_a_proxy_that_answers_502_in_the_middle_is_waited_for(
    server: ScriptedServer, connect: Connect
) -> None:
    async def story(server: ScriptedServer, prompt_id: str) -> None:
        server.answers[f"/api/jobs/{prompt_id}"] = [(502, "bad gateway")] * 3
        await server.start(prompt_id)
        await server.hang_up()
        while server.answers[f"/api/jobs/{prompt_id}"]:
            await asyncio.sleep(0.01)
        await server.finish(prompt_id)

    server.story = story
    assert connect(server).run(GRAPH).images == SAVED


def test_a_server_that_restarts_without_the_job_says_so(server: ScriptedServer, connect: Connect) -> None:
    async def story(server: ScriptedServer, prompt_id: str) -> None:
        await server.start(prompt_id)
        await server.go_down()
        server.running.clear()
        await asyncio.sleep(0.1)
        await server.raise_up()

    server.story = story
    with pytest.raises(ServerGoneError, match="came back without the job"):
        connect(server).run(GRAPH)


def test_two_short_absences_are_not_one_long_one(
    server: ScriptedServer, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = 0.0
    now = jobs._now

    async def story(server: ScriptedServer, prompt_id: str) -> None:
        nonlocal later
        path = f"/api/jobs/{prompt_id}"
        server.answers[path] = [(502, "bad gateway")] * 2
        await server.start(prompt_id)
        while len(server.sent(path)) < 4:  # away twice, then there
            await asyncio.sleep(0.01)
        later = 10 * jobs.AWAY_SECONDS
        server.answers[path] = [(502, "bad gateway")] * 2
        while server.answers[path]:
            await asyncio.sleep(0.01)
        await server.finish(prompt_id)

    monkeypatch.setattr(jobs, "_now", lambda: now() + later)
    server.answers_for_ever["/ws"] = (404, "no such route")
    server.story = story
    assert connect(server).run(GRAPH).images == SAVED


def test_a_server_that_stays_away_is_given_up(
    server: ScriptedServer, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(server: ScriptedServer, prompt_id: str) -> None:
        await server.start(prompt_id)
        await server.go_down()

    monkeypatch.setattr(jobs, "AWAY_SECONDS", 0.1)
    server.story = story
    with pytest.raises(ServerGoneError, match="nothing answers"):
        connect(server).run(GRAPH)
