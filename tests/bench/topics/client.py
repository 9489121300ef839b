"""What a client adds to the server's own execution time, on a graph that takes next to none.

Each figure is the median of 20 jobs, taken in turns: seconds from the submission to the picture's bytes, less the
seconds that the server itself reports between the job's start and its end. Compared are the polling loop of the
notebooks that this project replaces (POST /prompt, then GET /history every second) and the way of ComfyUI's own
WebSocket example, with the same library.
"""

from __future__ import annotations

import json
import os
import runpy
import statistics
import tempfile
import time
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import websocket
from comfystack import ComfyClient, Graph, lessons

from tests.contract.server import simulator
from tests.lab.names import ROOT, Names

from ..rows import Row

JOBS = 20
# Seconds beyond the server's own that a job may take through IIS and the edge.
PUBLIC_SECONDS = 0.025
EXAMPLE_LIMIT = 1.5  # times the example
EXAMPLE = "connect /ws, POST /prompt, receive until executing null, GET /history, GET /view"
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


@dataclass(frozen=True)
class _Server:
    """Where ComfyUI is, and the header that opens it, as the other ways ask it: a connection for each request."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def ask(self, path: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(self.url + path, body, dict(self.headers))  # noqa: S310 - our own
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            content: bytes = answer.read()
        return content

    def submit(self, client_id: str) -> str:
        body = json.dumps({"prompt": _graph(), "client_id": client_id}).encode()
        return str(json.loads(self.ask("/prompt", body))["prompt_id"])

    def fetch(self, prompt_id: str) -> bool:
        history = json.loads(self.ask(f"/history/{prompt_id}"))
        for output in history.get(prompt_id, {}).get("outputs", {}).values():
            for image in output["images"]:
                self.ask(f"/view?{urllib.parse.urlencode(image)}")
        return prompt_id in history


def _polling(server: _Server) -> str:
    prompt_id = server.submit("bench")
    while not server.fetch(prompt_id):
        time.sleep(1)
    return prompt_id


def _example(server: _Server) -> str:
    client_id = str(uuid.uuid4())
    address = f"{server.url.replace('http', 'ws', 1)}/ws?clientId={client_id}"
    headers = [f"{name}: {value}" for name, value in server.headers.items()]
    socket = websocket.create_connection(address, timeout=30, header=headers)
    try:
        prompt_id = server.submit(client_id)
        while True:
            message = socket.recv()
            data = json.loads(message)["data"] if isinstance(message, str) else {}
            if data.get("prompt_id") == prompt_id and data.get("node", "") is None:
                break
    finally:
        socket.close()
    server.fetch(prompt_id)
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
        simulator(Path(folder), "--cpu") as started,
        ComfyClient(started.url) as client,
    ):
        server = _Server(started.url)
        ways: dict[str, Job] = {
            "ours": lambda: _ours(client),
            "example": lambda: _example(server),
            "polling": lambda: _polling(server),
        }
        found = _overheads(ways, client.history)
    ours = "ComfyClient(url).run(graph), view"
    polling = "POST /prompt, GET /history every second, GET /view"
    yield Row(
        "direct, ComfyUI's example", found["ours"], found["example"], "s", EXAMPLE_LIMIT, (ours, EXAMPLE)
    )
    yield Row("direct, the old polling loop", found["ours"], found["polling"], "s", 1.0, (ours, polling))


def _public() -> Iterator[Row]:
    access = os.environ.get("COMFYSTACK_ACCESS", str(ACCESS))
    if not Path(access).exists():
        raise SystemExit(
            f"found: no {access}\nexpected: a deployed service to measure through its public name\n"
            "next step: make deploy, or name another access.json in COMFYSTACK_ACCESS"
        )
    facts = json.loads(Path(access).read_text())
    token = (Path(access).parent / facts["token_file"]).read_text().strip()
    # The example knows nothing of a name that stands in no DNS.
    os.environ["COMFYSTACK_ACCESS"] = access
    runpy.run_path(str(ROOT / "docs" / "examples" / "lab" / "sitecustomize.py"))
    server = _Server(facts["url"], {"Authorization": f"Bearer {token}"})
    with lessons.connect(access) as client:
        ways: dict[str, Job] = {"ours": lambda: _ours(client), "example": lambda: _example(server)}
        found = _overheads(ways, client.history)
    way = f"lessons.connect({access!r}).run(graph), view"
    yield Row("through the public name", found["ours"], PUBLIC_SECONDS, "s", 1.0, (way, "the promise"))
    yield Row(
        "through the public name, ComfyUI's example",
        found["ours"],
        found["example"],
        "s",
        EXAMPLE_LIMIT,
        (way, EXAMPLE),
    )


def rows() -> Iterator[Row]:
    """Direct against both others, and through the public name against the promise and the example."""
    yield from _direct()
    yield from _public()
