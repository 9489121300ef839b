"""The service api as it runs on a host, in this process: its own port, its state and tokens in a folder."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from comfystack import parameters
from comfystack_api.app import build
from comfystack_api.settings import Settings
from comfystack_api.tokens import digest_of

from tests.contract.server import Answer, Server, free_port, simulator, wait_for
from tests.contract.weights import lay_models

TOKENS = {name: f"{name}-" + name[0] * 40 for name in ("ann", "ben", "operator", "gone")}
_SHARED = {"incoming_dir": "input", "outgoing_dir": "output"}
SCOPES = {"ann": "user", "ben": "user", "operator": "admin", "gone": "admin"}
# An admin's, so that no scope is what keeps it out.
ENDS = {"gone": {"expires": "2020-01-31"}}


def inventory(*names: str) -> str:
    """tokens.json as role api_service writes it."""
    known = [
        {"name": name, "scope": SCOPES[name], "sha256": digest_of(TOKENS[name]), **ENDS.get(name, {})}
        for name in names
    ]
    return json.dumps(known)


@dataclass
class Service:
    """A running service, and what it was started with."""

    server: Server
    settings: Settings

    def ask(
        self,
        method: str,
        path: str,
        who: str | None = None,
        body: bytes | None = None,
        **headers: str,
    ) -> Answer:
        """One request with the token of `who`. Underscores in header names stand for hyphens."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if who is not None:
            given["Authorization"] = f"Bearer {TOKENS.get(who, who)}"
        return self.server.ask(method, path, body, given)

    def post(self, path: str, document: Any, who: str | None = None) -> Answer:
        return self.ask("POST", path, who, json.dumps(document).encode(), Content_Type="application/json")

    def edge(self, method: str, uri: str, who: str | None = None, **headers: str) -> Answer:
        """What the service answers when the edge asks about a request."""
        return self.ask("GET", "/auth", who, None, X_Original_Method=method, X_Original_URI=uri, **headers)


@contextmanager
def running(folder: Path, comfyui_url: str, **changes: Any) -> Iterator[Service]:
    """The service on a free port."""
    tokens = folder / "tokens.json"
    if not tokens.exists():
        tokens.write_text(inventory("ann", "ben", "operator"))
    settings = Settings(comfyui_url, tokens, folder / "state", port=free_port(), **changes)
    config = uvicorn.Config(
        build(settings), port=settings.port, log_config=None, access_log=False, timeout_graceful_shutdown=2
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        wait_for(lambda: server.started)
        yield Service(Server(f"http://127.0.0.1:{settings.port}"), settings)
    finally:
        server.should_exit = True
        thread.join(10)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """Nothing listens where ComfyUI should be."""
    with running(tmp_path, f"http://127.0.0.1:{free_port()}") as started:
        yield started


@pytest.fixture(scope="module")
def comfyui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The simulator, slow enough for a job to be met while it runs."""
    base = tmp_path_factory.mktemp("comfyui")
    lay_models(base)
    slow = {"COMFYSIM_STEP_SECONDS": "0.2"}
    with simulator(base, "--cpu", "--preview-method=auto", env=slow, packs=False) as server:
        yield server


@pytest.fixture
def long_graph() -> dict[str, Any]:
    """Runs until it is stopped."""
    values = {"prompt": "a cat", "width": 256, "height": 256, "steps": 100, "seed": random.randrange(2**32)}  # noqa: S311 - any other than before
    return parameters.fill("text-to-image", values)


def exchanging(comfyui: Server) -> dict[str, Path]:
    """The settings by which the service shares two folders with this simulator."""
    assert comfyui.base is not None
    folders = {name: comfyui.base / place / "api" for name, place in _SHARED.items()}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    return folders


@pytest.fixture
def with_comfyui(tmp_path: Path, comfyui: Server) -> Iterator[Service]:
    with running(tmp_path, comfyui.url, **exchanging(comfyui)) as started:
        yield started
