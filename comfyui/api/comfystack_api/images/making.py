"""Pictures made: one job after the other, none of which runs on when nobody waits for it any more."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from comfystack import ComfyError, Progress, ServerGoneError, jobs
from comfystack.events import Graph
from comfystack.transport import Transport

from ..jobs import Owners
from ..state import State
from .exchange import Exchange
from .refusals import of_error

# Where a job's time is told: workflow, seconds that it ran, and the code of its error or "".
Ended = Callable[[str, float, str], None]


class Watcher:
    """Hears of one job while it runs; this one does nothing with it."""

    def progress(self, progress: Progress) -> None:
        """How far it is."""

    def preview(self, picture: bytes) -> None:
        """The picture as it is so far."""


@dataclass(frozen=True)
class Kitchen:
    """What a job needs."""

    transport: Transport
    state: State
    owners: Owners
    exchange: Exchange
    job_seconds: int
    ended: Ended = lambda *_: None
    working: set[str] = field(default_factory=set)

    async def make(self, workflow: str, graph: Graph, owner: str, target: Path, watch: Watcher) -> None:
        """Runs a graph and moves its picture to `target`. Raises Refused; cancelled, it cancels the job."""
        job = str(uuid.uuid4())
        began: list[float] = []
        clock = asyncio.get_running_loop().time

        def notice(progress: Progress) -> None:
            if progress.state != "queued" and not began:
                began.append(clock())
            watch.progress(progress)

        self.exchange.expect(graph, job)
        self.owners.keep(job, owner)
        code = ""
        try:
            async with self._awaited(job):
                result = await jobs.run(self.transport, graph, notice, self.job_seconds, job, watch.preview)
            await asyncio.to_thread(self.exchange.take, result, target)
        except ComfyError as error:
            refused = of_error(error)
            code = refused.code
            raise refused from None
        except asyncio.CancelledError:
            code = "client_gone"
            raise
        finally:
            self.exchange.clear(job)
            self.ended(workflow, clock() - began[0] if began else 0.0, code)
        # The graph has the prompt, and a history can be read by everybody.
        with suppress(ComfyError):
            await self.transport.exchange("POST", "/history", body={"delete": [job]})

    @asynccontextmanager
    async def _awaited(self, job: str) -> AsyncIterator[None]:
        """Written down while it lasts: what is still there when nobody waits for it is cancelled by `cancel_left`."""
        self.state.run("INSERT INTO awaited VALUES (?)", (job,))
        self.working.add(job)
        ended = True
        try:
            yield
        except ServerGoneError:
            ended = False
            raise
        finally:
            self.working.discard(job)
            if ended:
                self._forget(job)

    async def cancel_left(self) -> None:
        """Cancels jobs that nobody waits for: of a service that was killed, or while ComfyUI could not be reached."""
        for (job,) in self.state.rows("SELECT prompt_id FROM awaited"):
            if job not in self.working:
                await jobs.cancel(self.transport, str(job))
                self.exchange.clear(str(job))
                self._forget(str(job))

    async def closed(self) -> None:
        """Returns when the last job has ended or has been cancelled."""
        while self.working:
            await asyncio.sleep(0.05)

    def _forget(self, job: str) -> None:
        self.state.run("DELETE FROM awaited WHERE prompt_id = ?", (job,))
