"""One job from submission to its end: sent once, followed by socket or by looking, cancelled if left."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

import aiohttp

from . import transport as wire
from .errors import (
    ComfyError,
    InputError,
    JobCancelledError,
    JobTimeoutError,
    ServerGoneError,
    UnexpectedAnswerError,
)
from .events import Graph, Progress, Result, Story, preview_of, result_of
from .failures import of_failed_job, of_refused_prompt
from .transport import Transport

Notify = Callable[[Progress], None]
# What a half-made picture is handed to, as a JPEG or PNG.
Preview = Callable[[bytes], None]

# How often to look without a socket, and while a socket is silent: a job deleted from the queue is
# announced to nobody.
LOOK_SECONDS = 1.0
SILENCE_SECONDS = 5.0
# At most one dial in this time: a proxy may accept every socket and drop it at once.
REDIAL_SECONDS = 5.0
# How long a server may be away before a job is given up; a container restart fits into it.
AWAY_SECONDS = 60.0
# Between the break of a submission and the look for it: the request may still be on its way in.
SETTLE_SECONDS = 0.5
SUBMIT_ATTEMPTS = 3
ABANDON_SECONDS = 10.0
ENDINGS = ("execution_error", "execution_interrupted")


@dataclass(frozen=True)
class Sight:
    """What a look at one job showed; `entry` is its history when it has ended."""

    state: Literal["unknown", "pending", "running", "ended", "cancelled"]
    ahead: int | None = None
    entry: Mapping[str, Any] | None = None


async def look(transport: Transport, prompt_id: str) -> Sight:
    """Where a job stands. /history alone cannot tell a pending job from one that will never be.

    The order matters: a job that ends between two requests has left the queue for the history.
    """
    reply = await transport.exchange("GET", f"/api/jobs/{prompt_id}", accept=(200, 404))
    status = str(reply.mapping().get("status", "")) if reply.status == 200 else ""
    if status == "in_progress":
        return Sight("running")
    # A server without the jobs route answers 404 too, so that queue and history have the last word.
    if status in ("", "pending"):
        queue = (await transport.exchange("GET", "/queue")).mapping()
        if any(item[1] == prompt_id for item in queue.get("queue_running") or ()):
            return Sight("running")
        pending = sorted(queue.get("queue_pending") or (), key=lambda item: float(item[0]))
        for place, item in enumerate(pending):
            if item[1] == prompt_id:
                return Sight("pending", ahead=place + len(queue.get("queue_running") or ()))
    history = (await transport.exchange("GET", f"/history/{prompt_id}")).mapping()
    if prompt_id in history:
        return Sight("ended", entry=history[prompt_id])
    return Sight("cancelled" if status == "cancelled" else "unknown")


async def cancel(transport: Transport, prompt_id: str) -> None:
    """Stop a job wherever it is; harmless to every other job and to one that has ended."""
    # In this order: a job that starts in between is no longer pending, and is then interrupted.
    await transport.exchange("POST", "/queue", body={"delete": [prompt_id]})
    await transport.exchange("POST", "/interrupt", body={"prompt_id": prompt_id})


async def submit(transport: Transport, graph: Graph, prompt_id: str | None = None) -> str:
    """Queue a workflow under `prompt_id`, unless the server knows that job already; its id."""
    job_id = _checked_id(prompt_id)
    await _submit(transport, graph, job_id, str(uuid.uuid4()), perhaps_known=prompt_id is not None)
    return job_id


async def run(
    transport: Transport,
    graph: Graph,
    notify: Notify,
    timeout: float,
    own_id: str | None = None,
    preview: Preview | None = None,
) -> Result:
    """Submit a workflow and follow it to its end; with `own_id` it may be on the server already.

    `preview` gets the half-made pictures that the server sends, if it sends any (its `--preview-method`).

    If this side stops waiting (time is up, the caller gives up), the job is cancelled on the server:
    no card works for nobody.
    """
    prompt_id = _checked_id(own_id)
    watch = _Watch(transport, Story(prompt_id, graph), notify, preview)
    sending: asyncio.Task[None] | None = None
    try:
        async with asyncio.timeout(timeout):
            await watch.begin()
            sending = asyncio.create_task(
                _submit(transport, graph, prompt_id, watch.client_id, perhaps_known=own_id is not None)
            )
            # Shielded: a submission cut in half might be carried out after its cancellation.
            await asyncio.shield(sending)
            notify(watch.story.progress)
            result = await watch.to_the_end()
            watch.leave()
            return result
    except (TimeoutError, asyncio.CancelledError) as stop:
        cancelled = sending is None or await _abandon(transport, prompt_id, sending)
        end = (
            "has been cancelled" if cancelled else f"could not be cancelled: it may still run as {prompt_id}"
        )
        if isinstance(stop, asyncio.CancelledError):
            if cancelled:
                raise
            raise ServerGoneError(
                f"the job {end}", "a service in reach", "look at the queue when it is back"
            ) from None
        place = _place(watch.story.progress)
        raise JobTimeoutError(
            f"the job was not finished after {timeout:g} s and {end} ({place})",
            "a finished job within the limit",
            "allow more time with --timeout, or look at the queue",
        ) from None
    finally:
        await watch.hang_up()


def _now() -> float:
    return asyncio.get_running_loop().time()


def _place(progress: Progress) -> str:
    if progress.state == "queued":
        return "still queued" if progress.ahead is None else f"queued behind {progress.ahead} others"
    return f"at node {progress.node_id or '?'} {progress.class_type}".rstrip()


async def _abandon(transport: Transport, prompt_id: str, sending: asyncio.Task[None]) -> bool:
    """Cancel a job on the server, however far it came; False when the server could not be told."""
    try:
        async with asyncio.timeout(ABANDON_SECONDS):
            await asyncio.wait({sending}, timeout=ABANDON_SECONDS / 2)
            await cancel(transport, prompt_id)
    except (ComfyError, TimeoutError):
        return False
    finally:
        if sending.done() and not sending.cancelled():
            sending.exception()  # Retrieved, so that the loop does not complain about it later.
        sending.cancel()
    return True


def _checked_id(own_id: str | None) -> str:
    """A new job id, or the caller's own in the one form that ComfyUI takes."""
    if own_id is None:
        return str(uuid.uuid4())
    with suppress(ValueError):
        if str(uuid.UUID(own_id)) == own_id:
            return own_id
    raise InputError(f"the job id {own_id!r}", "a UUID in lower case, with hyphens", "take str(uuid.uuid4())")


async def _submit(
    transport: Transport, graph: Graph, prompt_id: str, client_id: str, *, perhaps_known: bool
) -> None:
    """POST /prompt so that the job exists once: our own id tells after a broken answer whether it arrived."""
    # A job that was cancelled did not run: it is sent again.
    if perhaps_known and (await look(transport, prompt_id)).state not in ("unknown", "cancelled"):
        return
    body = {"prompt": graph, "client_id": client_id, "prompt_id": prompt_id}
    for attempt in range(1, SUBMIT_ATTEMPTS + 1):
        try:
            reply = await transport.exchange("POST", "/prompt", body=body, accept=(200, 400))
        except ServerGoneError as gone:
            if not gone.maybe_received or attempt == SUBMIT_ATTEMPTS:
                raise
            await wire.pause(SETTLE_SECONDS * attempt)
            if (await look(transport, prompt_id)).state != "unknown":
                return
            continue
        answer = reply.mapping()
        refused = of_refused_prompt(answer)
        if refused is not None:
            if reply.status == 200:
                await cancel(transport, prompt_id)
            raise refused
        if reply.status != 200 or answer.get("prompt_id") != prompt_id:
            raise UnexpectedAnswerError(
                f"{transport.peer} answered {reply.status} to /prompt without our job id",
                "a ComfyUI that keeps the client's prompt_id",
                "check the server's version",
                status=reply.status,
            )
        return


class _Watch:
    """Follows one submitted job; loses the socket or the server without losing the job."""

    def __init__(self, transport: Transport, story: Story, notify: Notify, preview: Preview | None) -> None:
        self.transport, self.story, self.notify, self.preview = transport, story, notify, preview
        self.client_id = str(uuid.uuid4())
        self.socket: aiohttp.ClientWebSocketResponse | None = None
        self.look_at = 0.0
        self.dial_at = 0.0
        # Whether the socket has been open from before the submission: then it told everything.
        self.heard_all = True
        self.away_since: float | None = None
        self.was_away = False

    async def begin(self) -> None:
        """Has a socket before the job is sent, if one can be had."""
        spare = self.transport.spare_socket()
        if spare is None:
            await self.dial()
        else:
            self.client_id, self.socket = spare

    def leave(self) -> None:
        """Leaves a socket that has told everything so far for the next job."""
        if self.heard_all and self.socket is not None:
            self.transport.keep_socket(self.client_id, self.socket)
            self.socket = None

    async def dial(self) -> None:
        """Open the socket if it can be had; the server keeps telling the same client id."""
        if _now() < self.dial_at:
            return
        self.dial_at = _now() + REDIAL_SECONDS
        self.socket = await self.transport.websocket("/ws", {"clientId": self.client_id})
        self.heard_all = self.heard_all and self.socket is not None

    async def hang_up(self) -> None:
        self.heard_all = False
        if self.socket is not None:
            with suppress(aiohttp.ClientError, OSError):
                await self.socket.close()
            self.socket = None

    async def to_the_end(self) -> Result:
        self._look_later()
        while True:
            result = await (self._look() if self.socket is None else self._listen(self.socket))
            if result is not None:
                return result

    def _look_later(self) -> None:
        running = self.story.progress.state == "running"
        self.look_at = _now() + (SILENCE_SECONDS if running else LOOK_SECONDS)

    async def _listen(self, socket: aiohttp.ClientWebSocketResponse) -> Result | None:
        try:
            message = await socket.receive(timeout=max(self.look_at - _now(), 0.001))
        except TimeoutError:
            # Others' messages do not put the look off: they say nothing about this job.
            self._look_later()
            return await self._judge(await self._see())
        if message.type is aiohttp.WSMsgType.TEXT:
            if self.story.hear(message.data):
                self._look_later()
                self.notify(self.story.progress)
            if self.story.ended_by in ENDINGS:
                raise of_failed_job(self.story.ended_by, self.story.ending)
            if self.story.ended_by:
                return await self._collect()
        elif message.type is aiohttp.WSMsgType.BINARY:
            picture = preview_of(message.data)
            if picture and self.preview is not None:
                self.preview(picture)
        else:
            await self.hang_up()
        return None

    async def _collect(self) -> Result | None:
        """The result of a job whose end was announced; by looking, should the history not have it."""
        if self.heard_all and self.story.succeeded:
            told = {"outputs": self.story.outputs, "status": {"status_str": "success"}}
            # Through a proxy with TLS, the question for the history would take a fourth of the time.
            if result_of(self.story.prompt_id, told).images:
                return self._ended(told)
        self.story.ended_by = ""
        with suppress(ServerGoneError):
            reply = await self.transport.exchange("GET", f"/history/{self.story.prompt_id}")
            entry = reply.mapping().get(self.story.prompt_id)
            if entry is not None:
                return self._ended(entry)
        await self.hang_up()
        return None

    async def _look(self) -> Result | None:
        sight = await self._see()
        result = await self._judge(sight)
        if result is None:
            if sight is not None:
                await self.dial()
                self._look_later()
            if self.socket is None:
                await wire.pause(LOOK_SECONDS)
        return result

    async def _see(self) -> Sight | None:
        """A look, or None while the server is away and may still come back."""
        now = _now()
        try:
            sight = await look(self.transport, self.story.prompt_id)
        except ServerGoneError:
            self.was_away = True
            await self.hang_up()
            self.away_since = now if self.away_since is None else self.away_since
            if now - self.away_since >= AWAY_SECONDS:
                raise
            return None
        self.away_since = None
        return sight

    async def _judge(self, sight: Sight | None) -> Result | None:
        story = self.story
        if sight is None:
            return None
        if sight.entry is not None:
            return self._ended(sight.entry)
        if sight.state in ("unknown", "cancelled"):
            raise self._lost(sight)
        running = sight.state == "running"
        progress = replace(story.progress, state="running" if running else "queued", ahead=sight.ahead)
        if running:
            progress = replace(progress, ahead=0)
        if progress != story.progress:
            story.progress = progress
            self.notify(progress)
        return None

    def _ended(self, entry: Mapping[str, Any]) -> Result:
        status = entry.get("status") or {}
        if status.get("status_str") == "success":
            done = replace(self.story.progress, state="finished", nodes_done=self.story.progress.nodes_total)
            self.story.progress = done
            self.notify(done)
            return result_of(self.story.prompt_id, entry)
        for kind, data in reversed(status.get("messages") or []):
            if kind in ENDINGS:
                raise of_failed_job(kind, data)
        raise of_failed_job("execution_error", {})

    def _lost(self, sight: Sight) -> ComfyError:
        if self.was_away and sight.state == "unknown":
            return ServerGoneError(
                "the server went away and came back without the job (its queue is only in memory)",
                "a server that stays up while a job runs",
                "run it again; the operator finds the restart's reason in the container's log",
            )
        return JobCancelledError(
            "the job is no longer on the server: it was deleted from the queue, or the history was cleared",
            "a job that stays queued until it runs",
            "run it again if nobody meant to delete it",
        )
