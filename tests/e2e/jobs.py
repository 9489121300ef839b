"""Jobs and tokens of the lab's service, through its public name, as those who use it."""

from __future__ import annotations

import json
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any

from tests.lab.names import ROOT

from . import public
from .running import bare_environment
from .site import BIN, Lab

TEXT_TO_IMAGE = ROOT / "comfyui" / "workflows" / "text-to-image.api.json"


def tokens(lab: Lab, *words: str) -> dict[str, Any]:
    """What `comfystack tokens … --json` printed; not through a log, because it prints tokens."""
    command = [str(BIN / "comfystack"), "tokens", *words, "--json", "--access", str(lab.access_file)]
    done = subprocess.run(command, env=bare_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def answer(lab: Lab, method: str, path: str, body: Any = None, token: str = "") -> tuple[int, bytes]:
    """(status, body) of the answer to whoever has this token; without one, to the administrator."""
    token = token or Path(lab.access["token_file"]).read_text().strip()
    got = public.ask(lab, method, path, {"Authorization": f"Bearer {token}"}, public.say(body))
    return got.status, got.body


def ask(lab: Lab, method: str, path: str, body: Any = None, token: str = "") -> Any:
    """The JSON of an answer that has to be 200, or None where it has no body."""
    status, text = answer(lab, method, path, body, token)
    assert status == 200, (status, text)
    return json.loads(text) if text else None


def submit(lab: Lab, steps: int, client: str, token: str = "", unet_name: str = "") -> str:
    """Queues a job of that many steps, each a twentieth of a second; its id."""
    graph = json.loads(TEXT_TO_IMAGE.read_text())
    graph["sampler"]["inputs"]["steps"] = steps
    graph["model"]["inputs"]["unet_name"] = unet_name or graph["model"]["inputs"]["unet_name"]
    prompt_id = str(uuid.uuid4())
    ask(lab, "POST", "/prompt", {"prompt": graph, "prompt_id": prompt_id, "client_id": client}, token)
    return prompt_id


def queued(lab: Lab) -> list[tuple[str, str]]:
    """(id, client) of each job that runs or waits, in order."""
    queue = ask(lab, "GET", "/queue")
    jobs = [*queue["queue_running"], *sorted(queue["queue_pending"])]
    return [(job[1], job[3]["client_id"]) for job in jobs]


def ended_well(lab: Lab, prompt_id: str) -> None:
    """Waits until the job is done, and fails the test where it did not end well."""
    deadline = time.monotonic() + 120
    while not (result := ask(lab, "GET", f"/history/{prompt_id}")):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert result[prompt_id]["status"]["status_str"] == "success", result
