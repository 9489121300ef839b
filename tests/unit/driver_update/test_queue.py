"""Jobs outlive ComfyUI's process, under their ids, whatever cuts a run off in between."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.own_modules import PLUGINS, load

ROOT = Path(__file__).parents[3]
SIMULATOR = ROOT / "tests" / "lab" / "comfyui" / "main.py"
own = load("comfyui_queue", PLUGINS / "modules" / "comfyui_queue.py")


TEXT_TO_IMAGE = ROOT / "comfyui" / "workflows" / "text-to-image.api.json"
WEIGHTS = {"unet_name": "diffusion_models", "clip_name": "text_encoders", "vae_name": "vae"}
# A whole safetensors file: an empty table of contents.
EMPTY_WEIGHTS = (2).to_bytes(8, "little") + b"{}"
# A step never ends by itself; an interrupt ends it.
ENDLESS, BRISK = "3599", "0"


def graph(seed: int) -> dict[str, Any]:
    """A graph with a sampler, whose steps decide how long it runs."""
    made: dict[str, Any] = json.loads(TEXT_TO_IMAGE.read_text())
    for node in made.values():
        if "seed" in node["inputs"]:
            node["inputs"]["seed"] = seed
    return made


def with_weights(base: Path) -> Path:
    for node in graph(0).values():
        for name in WEIGHTS.keys() & node["inputs"].keys():
            file = base / "models" / WEIGHTS[name] / node["inputs"][name]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(EMPTY_WEIGHTS)
    return base


@contextmanager
def comfyui(base: Path, step: str) -> Iterator[str]:
    """A simulator; a second one over the same folder is the container made anew. A step takes `step` seconds."""
    (base / "custom_nodes").mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, str(SIMULATOR), "--cpu", "--listen", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(
        [*command, "--base-directory", str(base)],
        cwd=SIMULATOR.parent,
        env=os.environ | {"COMFYSIM_STEP_SECONDS": step},
        stdout=subprocess.DEVNULL,
        stderr=(base / "log").open("a"),
    ) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            deadline = time.monotonic() + 30
            while own.present(url) is None:
                assert process.poll() is None, (base / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)
            yield url
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(10)


def submit(url: str, seed: int) -> str:
    """Queues a job as a client does; its id."""
    prompt_id = str(uuid.uuid4())
    body = {"prompt": graph(seed), "prompt_id": prompt_id, "client_id": f"client-{seed}"}
    assert own.ask(f"{url}/prompt", body)[0] == 200
    return prompt_id


def ids(url: str) -> list[str]:
    return [job["prompt_id"] for job in own.present(url)]


def soon(what: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 30
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return with_weights(tmp_path / "comfyui")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "queue.json"


def test_what_runs_and_what_is_queued_comes_back_in_order_with_its_owners(base: Path, file: Path) -> None:
    with comfyui(base, ENDLESS) as url:
        jobs = [submit(url, seed) for seed in range(3)]
        soon(lambda: own.ask(f"{url}/queue")[1]["queue_running"])
        answered, kept, changed = own.keep(url, file, check=False)
        assert (answered, changed) == (True, True)
        assert [own.told(job) for job in kept] == [f"{one} (client client-{n})" for n, one in enumerate(jobs)]
        assert file.stat().st_mode & 0o777 == 0o600, "graphs hold people's words"
    with comfyui(base, ENDLESS) as url:
        assert ids(url) == [], "ComfyUI has forgotten them"
        submitted, refused = own.submit(url, file)
        assert ([job["prompt_id"] for job in submitted], refused) == (jobs, [])
        assert ids(url) == jobs
        assert own.present(url)[0]["extra_data"]["client_id"] == "client-0"
        assert not file.exists()


def test_a_run_that_was_cut_off_anywhere_loses_and_doubles_nothing(base: Path, file: Path) -> None:
    with comfyui(base, ENDLESS) as url:
        first = submit(url, 1)
        own.keep(url, file, check=False)
        # Cut off before ComfyUI ended: more comes in, and the next run keeps what is there by then.
        second = submit(url, 2)
        own.keep(url, file, check=False)
    # Cut off while ComfyUI is down, and run again: nobody answers, and nothing is forgotten.
    answered, kept, changed = own.keep(url, file, check=False)
    assert (answered, [job["prompt_id"] for job in kept], changed) == (False, [first, second], False)
    with comfyui(base, ENDLESS) as url:
        own.ask(f"{url}/prompt", {**own.read(file)[0]})
        # Cut off after the first was submitted.
        own.submit(url, file)
        assert ids(url) == [first, second]


def test_a_job_that_has_ended_meanwhile_is_not_run_twice(base: Path, file: Path) -> None:
    with comfyui(base, BRISK) as url:
        job = {"prompt_id": str(uuid.uuid4()), "prompt": graph(1), "extra_data": {"client_id": "a"}}
        own.write(file, [job])
        own.submit(url, file)
        soon(lambda: own.ask(f"{url}/history/{job['prompt_id']}")[1])
        own.write(file, [job])
        assert own.submit(url, file) == ([], [])
        assert (ids(url), file.exists()) == ([], False)


def test_what_comfyui_refuses_is_named_and_stays_kept(base: Path, file: Path) -> None:
    wrong: dict[str, Any] = {
        "prompt_id": str(uuid.uuid4()),
        "prompt": graph(1),
        "extra_data": {"client_id": "a"},
    }
    loader = next(node for node in wrong["prompt"].values() if "unet_name" in node["inputs"])
    loader["inputs"]["unet_name"] = "gone.safetensors"
    right = {"prompt_id": str(uuid.uuid4()), "prompt": graph(2), "extra_data": {}}
    own.write(file, [wrong, right])
    with comfyui(base, ENDLESS) as url:
        submitted, (line,) = own.submit(url, file)
    assert [own.told(job) for job in submitted] == [f"{right['prompt_id']} (client unknown)"]
    assert line.startswith(f"{wrong['prompt_id']} (client a): Prompt outputs failed validation")
    assert "gone.safetensors" in line
    assert own.read(file) == [wrong]


def test_waiting_ends_with_the_queue_or_at_the_deadline(base: Path) -> None:
    with comfyui(base, BRISK) as url:
        submit(url, 1)
        assert own.wait(url, 60) == []
    with comfyui(base, ENDLESS) as url:
        job = submit(url, 1)
        assert [left["prompt_id"] for left in own.wait(url, 0)] == [job]
    assert own.wait(url, 0) is None, "nobody answers"


def test_a_comfyui_that_does_not_answer_gets_nothing_and_loses_nothing(file: Path) -> None:
    own.write(file, [{"prompt_id": "x", "prompt": {}, "extra_data": {}}])
    with pytest.raises(own.QueueError, match=r"no answer from ComfyUI at .+; expected: one, for 1 kept"):
        own.submit("http://127.0.0.1:9", file)
    assert len(own.read(file)) == 1


@pytest.mark.parametrize("text", ["", "[]", '{"jobs": [1]}', '{"jobs": [{"prompt_id": "x"}]}'])
def test_a_file_that_holds_no_jobs_is_told_and_left_as_it_is(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(own.QueueError, match="which holds no jobs"):
        own.keep("http://127.0.0.1:9", file, check=False)
    assert file.read_text() == text


def test_a_check_writes_nothing(base: Path, file: Path) -> None:
    with comfyui(base, ENDLESS) as url:
        submit(url, 1)
        assert own.keep(url, file, check=True)[2]
    assert not file.exists()
