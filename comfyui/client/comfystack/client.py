"""The synchronous face: every call may be made from a script, a notebook cell or a thread."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import uuid
import weakref
from collections.abc import Callable, Coroutine
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Self, TypeVar, cast
from urllib.parse import quote

import aiohttp

from . import jobs
from .errors import ServerGoneError
from .events import Graph, ImageRef, Progress, Result
from .images import read_image
from .transport import HANDSHAKE_SECONDS, Transport

T = TypeVar("T")

# Time for the queue in front and a first run that loads 30 GB from disk.
JOB_SECONDS = 1800.0
# Where waiting on a lock cannot be interrupted (Windows), Ctrl-C is seen this often.
WAKE_SECONDS = 0.5


class ComfyClient:
    """A ComfyStack service, or any ComfyUI.

    url         https://HOST[:PORT], the public name
    token       sent as `Authorization: Bearer`; kept out of every message and repr
    ca_file     PEM file of the CAs to trust instead of the system's
    connect_to  "HOST:PORT" the TCP connection goes to, while URL, Host header, SNI and certificate
                check keep the public name (curl's --connect-to)
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        ca_file: str | Path | None = None,
        connect_to: str | None = None,
        *,
        timeout: float = JOB_SECONDS,
    ) -> None:
        self.timeout = timeout
        self._transport = Transport(url, token, None if ca_file is None else Path(ca_file), connect_to)
        # A loop of our own in a thread: a notebook's cell already runs inside one.
        self._loop = asyncio.new_event_loop()
        thread = threading.Thread(target=self._loop.run_forever, name="comfystack", daemon=True)
        thread.start()
        self._finalizer = weakref.finalize(self, _shut, self._loop, thread, self._transport)

    def __repr__(self) -> str:
        return f"ComfyClient({str(self._transport.base)!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; also done when the client is forgotten."""
        self._finalizer()

    def run(
        self,
        workflow: Graph,
        on_progress: Callable[[Progress], None] | None = None,
        *,
        timeout: float | None = None,
        prompt_id: str | None = None,
    ) -> Result:
        """Run a workflow once and wait for it (seconds, `timeout`; default the client's).

        `on_progress` is called in this thread. If it raises, or on Ctrl-C, the job is cancelled on
        the server before the exception goes on.
        `prompt_id` is a UUID of the caller's: where the server knows the job already, queued, running
        or done, it is followed and not run a second time.
        """
        events: SimpleQueue[Any] = SimpleQueue()
        limit = self.timeout if timeout is None else timeout
        job = jobs.run(self._transport, workflow, lambda progress: events.put(progress), limit, prompt_id)
        return self._call(job, events, on_progress)

    def submit(self, workflow: Graph, *, prompt_id: str | None = None) -> str:
        """Queue a workflow and return its id at once; `run` with that id waits for it."""
        return self._call(jobs.submit(self._transport, workflow, prompt_id))

    def upload_image(self, image: str | Path | bytes) -> ImageRef:
        """Send an image file or its bytes; the reference fits a LoadImage node.

        The name is made from the content, so that a repeated upload is the same file.
        """
        content, suffix = read_image(image)
        name = f"comfystack-{hashlib.sha256(content).hexdigest()[:24]}{suffix}"
        return self._call(_upload(self._transport, name, content))

    def view(self, image: ImageRef) -> bytes:
        """The bytes of a file the server holds."""
        params = {"filename": image.filename, "subfolder": image.subfolder, "type": image.type}
        return self._call(self._transport.exchange("GET", "/view", params=params)).body

    def cancel(self, prompt_id: str) -> None:
        """Take a job out of the queue, or interrupt it if it runs."""
        self._call(jobs.cancel(self._transport, prompt_id))

    def interrupt(self, prompt_id: str) -> None:
        """Stop a running job; one that waits in the queue stays there."""
        self._call(self._transport.exchange("POST", "/interrupt", body={"prompt_id": prompt_id}))

    def free(self, *, unload_models: bool = True, free_memory: bool = True) -> None:
        """Have the server give back the card's memory; the next job loads its models anew."""
        body = {"unload_models": unload_models, "free_memory": free_memory}
        self._call(self._transport.exchange("POST", "/free", body=body))

    def hears(self) -> bool:
        """Whether the service's WebSocket can be had and says something."""
        return self._call(_hears(self._transport))

    def system_stats(self) -> dict[str, Any]:
        """GET /system_stats: versions, memory and the devices that torch sees."""
        return self._get("/system_stats")

    def object_info(self, node_class: str | None = None) -> dict[str, Any]:
        """GET /object_info: inputs and outputs of every node class, or of one; {} for one that there is not."""
        # Classes of custom nodes have slashes and question marks in their names.
        return self._get("/object_info" + ("" if node_class is None else f"/{quote(node_class, safe='')}"))

    def queue(self) -> dict[str, Any]:
        """GET /queue: `queue_running` and `queue_pending`, each [[number, prompt_id, graph, ...]]."""
        return self._get("/queue")

    def history(self, prompt_id: str) -> dict[str, Any]:
        """GET /history of one job: its graph, outputs and messages; {} while it has not ended."""
        entry: dict[str, Any] = self._get(f"/history/{prompt_id}").get(prompt_id, {})
        return entry

    def _get(self, path: str) -> dict[str, Any]:
        return self._call(self._transport.exchange("GET", path)).mapping()

    def _call(
        self,
        work: Coroutine[Any, Any, T],
        events: SimpleQueue[Any] | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> T:
        inbox: SimpleQueue[Any] = SimpleQueue() if events is None else events
        started: list[asyncio.Task[T]] = []

        def start() -> None:
            started.append(self._loop.create_task(work))
            started[0].add_done_callback(inbox.put)

        self._loop.call_soon_threadsafe(start)
        try:
            while True:
                item = _next(inbox)
                if isinstance(item, asyncio.Task):
                    return cast(T, item.result())
                if on_progress is not None:
                    on_progress(item)
        except BaseException as stop:
            self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in started])
            while not (started and started[0].done()):
                _next(inbox)
            left = None if started[0].cancelled() else started[0].exception()
            if left is not None and left is not stop:
                stop.add_note(str(left))
            raise


def _next(inbox: SimpleQueue[Any]) -> Any:
    while True:
        try:
            return inbox.get(timeout=WAKE_SECONDS)
        except Empty:
            continue


def _shut(loop: asyncio.AbstractEventLoop, thread: threading.Thread, transport: Transport) -> None:
    closed = asyncio.run_coroutine_threadsafe(transport.close(), loop)
    closed.add_done_callback(lambda _: loop.call_soon_threadsafe(loop.stop))
    thread.join(5)
    if not thread.is_alive():
        loop.close()


async def _hears(transport: Transport) -> bool:
    socket = await transport.websocket("/ws", {"clientId": str(uuid.uuid4())})
    if socket is None:
        return False
    try:
        # ComfyUI greets every socket with its status.
        message = await socket.receive(timeout=HANDSHAKE_SECONDS)
        return message.type is aiohttp.WSMsgType.TEXT
    except TimeoutError:
        return False
    finally:
        await socket.close()


async def _upload(transport: Transport, name: str, content: bytes) -> ImageRef:
    for last in (False, True):
        form = aiohttp.FormData()
        form.add_field("image", content, filename=name, content_type="application/octet-stream")
        form.add_field("type", "input")
        try:
            reply = await transport.exchange("POST", "/upload/image", data=form)
        except ServerGoneError as gone:
            # The same content under the same name twice is one file; an idle connection may just be stale.
            if last or not gone.maybe_received:
                raise
            continue
        answer = reply.mapping()
        return ImageRef(str(answer.get("name", name)), str(answer.get("subfolder", "")), "input")
    raise AssertionError("unreachable")
