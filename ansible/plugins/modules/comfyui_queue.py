#!/usr/bin/python
"""Ansible module: the jobs of a ComfyUI outlive its process, in a file."""

from __future__ import annotations

DOCUMENTATION = r"""
module: comfyui_queue
short_description: Waits for the jobs of a ComfyUI, keeps what is left in a file, and submits it again
description:
  - ComfyUI's queue is in memory and ends with its process. A job that is kept has its graph, its id, and what came
    with it (its owner's client id among that).
  - The file is only ever added to while jobs are kept, and only what ComfyUI has again leaves it. A run that is
    interrupted anywhere is run again.
options:
  url:
    description: Where ComfyUI answers, without a token.
    type: str
    required: true
  file:
    description: Where the jobs are kept, mode 0600.
    type: path
    required: true
  action:
    description: >-
      C(wait) until the queue is empty, or the deadline is reached. C(keep) what runs and what is queued.
      C(submit) what is kept, under the same ids and in the same order; what ComfyUI refuses stays in the file.
    type: str
    choices: [wait, keep, submit]
    required: true
  deadline_seconds:
    description: How long C(wait) waits.
    type: int
    default: 0
author: ComfyStack
"""

EXAMPLES = r"""
- name: What is still queued is kept
  comfyui_queue:
    url: http://172.18.0.2:8188
    file: /opt/comfystack/comfyui-qwen/queue.json
    action: keep
"""

RETURN = r"""
answered:
  description: Whether ComfyUI told its queue; where not, what it had in memory is not known.
  type: bool
  returned: success
jobs:
  description: >-
    C(wait), C(keep): a line for each job that is left, with its id and its owner. C(submit): those that are submitted.
  type: list
  elements: str
  returned: success
refused:
  description: C(submit), a line for each job that ComfyUI refuses, with its id, its owner and the reason.
  type: list
  elements: str
  returned: success
"""

import http.client  # noqa: E402 - Ansible wants its documentation first
import json  # noqa: E402
import os  # noqa: E402
import time  # noqa: E402
import urllib.error  # noqa: E402
import urllib.request  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped] # noqa: E402

# One exchange; a graph is a few kilobytes.
SECONDS = 20
LOOK_SECONDS = 1.0
Job = dict[str, Any]


class QueueError(Exception):
    """ComfyUI or the file gave no usable answer; the message says what was found, expected and comes next."""


def ask(url: str, body: Any = None) -> tuple[int, Any]:
    """(status, JSON) of a GET, or of a POST of `body`. OSError or ValueError where there is no such answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refusal:
        if refusal.code != 400:
            raise
        with refusal:
            return refusal.code, json.load(refusal)
    except http.client.HTTPException as error:
        raise OSError(str(error)) from error


def present(url: str) -> list[Job] | None:
    """What runs, then what is queued in the order in which it would run; None where nobody answers."""
    try:
        _, queue = ask(f"{url}/queue")
        running, pending = queue["queue_running"], queue["queue_pending"]
        ordered = [*running, *sorted(pending, key=lambda item: float(item[0]))]
        return [{"prompt_id": item[1], "prompt": item[2], "extra_data": item[3]} for item in ordered]
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None


def told(job: Job) -> str:
    """A job in the operator's words."""
    return f"{job['prompt_id']} (client {job['extra_data'].get('client_id') or 'unknown'})"


def read(file: Path) -> list[Job]:
    """The jobs that are kept. Raises QueueError for a file that is not ours."""
    try:
        jobs: list[Job] = json.loads(file.read_text(encoding="utf-8"))["jobs"]
        [told(job) for job in jobs]
        return jobs
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise QueueError(
            f"found: {file}, which holds no jobs ({error!r}); expected: the file that an earlier run has kept them in; "
            "next step: move it away, after looking whether it can be repaired"
        ) from error


def write(file: Path, jobs: list[Job]) -> None:
    """Replaces the file as a whole, on disk before this returns; no jobs, no file."""
    if not jobs:
        file.unlink(missing_ok=True)
        return
    fresh = file.with_name(f".{file.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        json.dump({"jobs": jobs}, stream)
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def wait(url: str, seconds: int) -> list[Job] | None:
    """What is left at the deadline, or None where ComfyUI does not answer (any more)."""
    deadline = time.monotonic() + seconds
    while True:
        jobs = present(url)
        if not jobs or time.monotonic() >= deadline:
            return jobs
        time.sleep(LOOK_SECONDS)


def keep(url: str, file: Path, check: bool) -> tuple[bool, list[Job], bool]:
    """(whether ComfyUI answered, all jobs that are kept now, whether the file changed)."""
    before = read(file)
    jobs = present(url)
    known = {job["prompt_id"] for job in before}
    after = before + [job for job in jobs or [] if job["prompt_id"] not in known]
    if after != before and not check:
        write(file, after)
    return jobs is not None, after, after != before


def submit(url: str, file: Path) -> tuple[list[Job], list[str]]:
    """(submitted jobs, refused ones with the reason). What is refused stays in the file. Raises QueueError."""
    kept = read(file)
    there = present(url)
    if there is None:
        raise _silent(url, len(kept))
    ids = {job["prompt_id"] for job in there}
    submitted, refused, left = [], [], []
    for job in kept:
        try:
            # An earlier run, cut off after this one was taken.
            if job["prompt_id"] in ids or ask(f"{url}/history/{job['prompt_id']}")[1]:
                continue
            body = {"prompt": job["prompt"], "prompt_id": job["prompt_id"], "extra_data": job["extra_data"]}
            status, answer = ask(f"{url}/prompt", body)
        except (OSError, ValueError) as error:
            raise _silent(url, len(kept)) from error
        if status == 200 and answer.get("prompt_id") == job["prompt_id"]:
            submitted.append(job)
        else:
            refused.append(f"{told(job)}: {_reason(answer)}")
            left.append(job)
    write(file, left)
    return submitted, refused


def _reason(answer: Any) -> str:
    try:
        nodes = [error["details"] for node in answer["node_errors"].values() for error in node["errors"]]
        return "; ".join([answer["error"]["message"], *nodes])
    except (KeyError, TypeError, AttributeError):
        return f"an answer without a reason: {str(answer)[:200]}"


def _silent(url: str, count: int) -> QueueError:
    return QueueError(
        f"found: no answer from ComfyUI at {url}; expected: one, for {count} kept jobs; next step: look at its log "
        "and run again, the jobs stay kept"
    )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "file": {"type": "path", "required": True},
            "action": {"type": "str", "choices": ["wait", "keep", "submit"], "required": True},
            "deadline_seconds": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    wanted = module.params
    url, file = wanted["url"], Path(wanted["file"])
    refused: list[str] = []
    answered, changed = True, False
    try:
        if wanted["action"] == "wait":
            found = wait(url, 0 if module.check_mode else wanted["deadline_seconds"])
            answered, jobs = found is not None, found or []
        elif wanted["action"] == "keep":
            answered, jobs, changed = keep(url, file, module.check_mode)
        elif module.check_mode:
            jobs = read(file)
            changed = bool(jobs)
        else:
            kept = read(file)
            jobs, refused = submit(url, file)
            changed = read(file) != kept
    except QueueError as error:
        module.fail_json(msg=str(error))
    lines = [told(job) for job in jobs]
    module.exit_json(changed=changed, answered=answered, jobs=lines, refused=refused)


if __name__ == "__main__":
    main()
