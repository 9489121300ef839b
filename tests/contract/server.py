"""A ComfyUI to talk to: the simulator started as its own process, or the one at COMFYUI_CONTRACT_URL."""

from __future__ import annotations

import http.client
import io
import json
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from multidict import CIMultiDict
from PIL import Image

TREE = Path(__file__).resolve().parents[1] / "lab" / "comfyui"
URL_VARIABLE = "COMFYUI_CONTRACT_URL"
_START_SECONDS = 30
_SMALL_GRAPH = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 1}},
    "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        return json.loads(self.content)

    def picture(self) -> Image.Image:
        image = Image.open(io.BytesIO(self.content))
        image.load()
        return image


@dataclass
class Server:
    """Where ComfyUI listens. `base` is its base directory where the test started it, else None."""

    url: str
    base: Path | None = None
    log: Path | None = None
    # Makes file names of one test session different from those of any other on the same server.
    token: str = field(default_factory=lambda: uuid.uuid4().hex[:8])

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request, sent exactly as given: no redirects, no normalised path, own Host if asked for."""
        parts = urlsplit(self.url)
        target = f"{parts.path.rstrip('/')}{path}" + (f"?{urlencode(params)}" if params else "")
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=60)
        try:
            connection.request(method, target, body, dict(headers or {}))
            response = connection.getresponse()
            return Answer(response.status, CIMultiDict(response.headers.items()), response.read())
        finally:
            connection.close()

    def get(self, path: str, **params: str) -> Answer:
        return self.ask("GET", path, params=params)

    def post(self, path: str, data: Any = None) -> Answer:
        body = None if data is None else json.dumps(data).encode()
        return self.ask("POST", path, body, {"Content-Type": "application/json"})

    def submit(self, graph: dict[str, Any], **more: Any) -> str:
        """Queues a graph that must be accepted whole; returns its prompt id."""
        answer = self.post("/prompt", {"prompt": graph, **more})
        assert answer.status == 200, answer.text
        assert answer.json()["node_errors"] == {}, answer.text
        return str(answer.json()["prompt_id"])

    def finished(self, prompt_id: str) -> dict[str, Any]:
        """The history entry, as soon as there is one."""
        return dict(wait_for(lambda: self.get(f"/history/{prompt_id}").json())[prompt_id])

    def run(self, graph: dict[str, Any], **more: Any) -> dict[str, Any]:
        return self.finished(self.submit(graph, **more))

    def forget_results(self) -> None:
        """Empties the server's result cache, so that the next run executes every node.

        The worker looks at the wish before or after the next job, whichever it meets first; once a second
        small job has begun it has surely been granted.
        """
        self.wait_idle()
        assert self.post("/free", {"unload_models": True, "free_memory": True}).status == 200
        for _ in range(2):
            self.run(_SMALL_GRAPH)
        self.wait_idle()

    def wait_idle(self) -> None:
        wait_for(lambda: self.get("/prompt").json()["exec_info"]["queue_remaining"] == 0)

    def output(self, saved: Mapping[str, str]) -> Answer:
        """The file that a node's output names."""
        answer = self.ask("GET", "/view", params=saved)
        assert answer.status == 200, (saved, answer.status)
        return answer

    def upload(self, name: str, content: bytes, **fields: str) -> Answer:
        return self.send_form("/upload/image", {"image": (name, content), **fields})

    def send_form(self, path: str, form: Mapping[str, str | tuple[str, bytes]]) -> Answer:
        boundary = uuid.uuid4().hex
        body = b""
        for key, value in form.items():
            disposition = f'Content-Disposition: form-data; name="{key}"'
            if isinstance(value, tuple):
                disposition += f'; filename="{value[0]}"\r\nContent-Type: application/octet-stream'
            content = value[1] if isinstance(value, tuple) else value.encode()
            body += f"--{boundary}\r\n{disposition}\r\n\r\n".encode() + content + b"\r\n"
        body += f"--{boundary}--\r\n".encode()
        return self.ask("POST", path, body, {"Content-Type": f"multipart/form-data; boundary={boundary}"})


def wait_for(look: Any, seconds: float = 30) -> Any:
    """The first truthy answer of `look`; fails with its last answer when none comes."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"nothing came within {seconds} s; last answer: {found!r}")
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def simulator(
    base: Path, *options: str, env: Mapping[str, str] | None = None, packs: bool = True, port: int = 0
) -> Iterator[Server]:
    """The simulator on a port, by default a free one, in a base directory, both custom node packs installed."""
    (base / "custom_nodes").mkdir(parents=True, exist_ok=True)
    for pack in (TREE / "packs").iterdir() if packs else ():
        (base / "custom_nodes" / pack.name).symlink_to(pack)
    port = port or free_port()
    log = base / "server.log"
    command = [sys.executable, "main.py", "--port", str(port), "--base-directory", str(base), *options]
    environment = {**os.environ, "COMFYSIM_STEP_SECONDS": "0.01", **(env or {})}
    with log.open("wb") as stream:
        process = subprocess.Popen(command, cwd=TREE, stdout=stream, stderr=stream, env=environment)
    server = Server(f"http://127.0.0.1:{port}", base, log)
    try:
        wait_for(lambda: _listens(server, process), _START_SECONDS)
        yield server
    finally:
        process.terminate()
        process.wait()


def _listens(server: Server, process: subprocess.Popen[bytes]) -> bool:
    if process.poll() is not None:
        log = server.log.read_text() if server.log else ""
        raise AssertionError(f"the simulator ended with status {process.returncode}:\n{log}")
    try:
        return server.get("/queue").status == 200
    except OSError:
        return False


def run_to_its_end(base: Path, *options: str, env: Mapping[str, str] | None = None) -> tuple[int, str]:
    """(exit status, all output) of a start that is expected to fail."""
    (base / "custom_nodes").mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "main.py", "--port", str(free_port()), "--base-directory", str(base), *options]
    done = subprocess.run(
        command,
        cwd=TREE,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr
