"""What a client adds to the server's own execution time, on a graph that takes next to none.

Each figure is the median of 20 jobs, taken in turns: seconds from the submission to the picture's bytes, less the
seconds that the server itself reports between the job's start and its end. Compared are the polling loop of the
notebooks that this project replaces (POST /prompt, then GET /history every second) and the way of ComfyUI's own
WebSocket example, with the same library.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import websocket
from comfystack import ComfyClient, Graph, lessons

from tests.contract.server import simulator
from tests.lab.names import Names

from ..rows import Row

JOBS = 20
# Seconds beyond the server's own that a job may take through IIS and the edge.
PUBLIC_SECONDS = 0.025
DIRECT_LIMIT = 1.5  # times the example
# The way in that `make deploy` leaves.
ACCESS = Names(os.environ.get("LAB_NAME", "lab")).build / "access.json"

_colour = count(1)
Job = Callable[[], str]


def _graph() -> Graph:
    # Another colour each time: what ran before is not run again.
    inputs = {"width": 512, "height": 512, "batch_size": 1, "color": next(_colour)}
    return {
        "made": {"class_type": "EmptyImage", "inputs": inputs},
        "saved": {"class_type": "SaveImage", "inputs": {"images": ["made", 0], "filename_prefix": "bench"}},
    }


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - our own loopback server
        content: bytes = answer.read()
    return content


def _post(url: str, client_id: str) -> str:
    body = json.dumps({"prompt": _graph(), "client_id": client_id}).encode()
    request = urllib.request.Request(f"{url}/prompt", body, {"Content-Type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return str(json.load(answer)["prompt_id"])


def _fetch(url: str, prompt_id: str) -> bool:
    history = json.loads(_get(f"{url}/history/{prompt_id}"))
    for output in history.get(prompt_id, {}).get("outputs", {}).values():
        for image in output["images"]:
            _get(
                f"{url}/view?filename={image['filename']}&subfolder={image['subfolder']}&type={image['type']}"
            )
    return prompt_id in history


def _polling(url: str) -> str:
    prompt_id = _post(url, "bench")
    while not _fetch(url, prompt_id):
        time.sleep(1)
    return prompt_id


def _example(url: str) -> str:
    client_id = str(uuid.uuid4())
    socket = websocket.create_connection(f"{url.replace('http', 'ws')}/ws?clientId={client_id}", timeout=30)
    try:
        prompt_id = _post(url, client_id)
        while True:
            message = socket.recv()
            data = json.loads(message)["data"] if isinstance(message, str) else {}
            if data.get("prompt_id") == prompt_id and data.get("node", "") is None:
                break
    finally:
        socket.close()
    _fetch(url, prompt_id)
    return prompt_id


def _ours(client: ComfyClient) -> str:
    result = client.run(_graph())
    client.view(result.images[0])
    return result.prompt_id


def _execution(history: dict[str, Any]) -> float:
    """Seconds between the server's own messages of the job's start and its end."""
    times = {kind: data["timestamp"] for kind, data in history["status"]["messages"]}
    return float(times["execution_success"] - times["execution_start"]) / 1000


def _overheads(ways: dict[str, Job], history: Callable[[str], dict[str, Any]]) -> dict[str, float]:
    """Median seconds beyond the server's own, of each way; in turns, so that they meet the same machine."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(JOBS):
        for name, job in ways.items():
            begin = time.monotonic()
            prompt_id = job()
            taken = time.monotonic() - begin
            seconds[name].append(taken - _execution(history(prompt_id)))
    return {name: statistics.median(values) for name, values in seconds.items()}


def _direct() -> Iterator[Row]:
    with (
        tempfile.TemporaryDirectory(prefix="comfystack-bench-") as folder,
        simulator(Path(folder), "--cpu") as server,
        ComfyClient(server.url) as client,
    ):
        ways: dict[str, Job] = {
            "ours": lambda: _ours(client),
            "example": lambda: _example(server.url),
            "polling": lambda: _polling(server.url),
        }
        found = _overheads(ways, lambda job: dict(json.loads(_get(f"{server.url}/history/{job}"))[job]))
    ours = "ComfyClient(url).run(graph), view"
    example = "connect /ws, POST /prompt, receive until executing null, GET /history, GET /view"
    polling = "POST /prompt, GET /history every second, GET /view"
    yield Row(
        "direct, ComfyUI's example", found["ours"], found["example"], "s", DIRECT_LIMIT, (ours, example)
    )
    yield Row("direct, the old polling loop", found["ours"], found["polling"], "s", 1.0, (ours, polling))


def _public() -> Iterator[Row]:
    access = os.environ.get("COMFYSTACK_ACCESS", str(ACCESS))
    if not Path(access).exists():
        raise SystemExit(
            f"found: no {access}\nexpected: a deployed service to measure through its public name\n"
            "next step: make deploy, or name another access.json in COMFYSTACK_ACCESS"
        )
    with lessons.connect(access) as client:
        found = _overheads({"ours": lambda: _ours(client)}, lambda job: client.history(job))
    way = f"lessons.connect({access!r}).run(graph), view"
    yield Row("through the public name", found["ours"], PUBLIC_SECONDS, "s", 1.0, (way, "the promise"))


def rows() -> Iterator[Row]:
    """Direct against both others, and through the public name against the promise."""
    yield from _direct()
    yield from _public()
