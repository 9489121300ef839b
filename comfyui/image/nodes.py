"""Ends ComfyUI where it lacks a node class that this image promises.

usage: python nodes.py PID     of ComfyUI, which is starting

ComfyUI logs a custom node pack that cannot be imported, and serves without it; a job then fails weeks later. So the
classes of nodes.json, which the deployment wrote, are compared with /object_info once it answers. Docker shows a
container that ends here as unhealthy; healthcheck.py waits for the mark that is set where nothing is missing.
"""

import json
import os
import select
import signal
import sys
import urllib.request
from collections.abc import Collection, Mapping
from pathlib import Path

EXPECTED = Path("/opt/nodes.json")
URL = "http://127.0.0.1:8188/object_info"
# What healthcheck.py waits for.
MARK = Path("/tmp/comfystack-nodes")  # noqa: S108 - nobody else is in this container


def problem(expected: Mapping[str, Collection[str]], there: Collection[str]) -> str:
    """What is missing, in the three parts of every message, or "". `expected`: who needs them -> their classes."""
    missing = {who: sorted(set(classes) - set(there)) for who, classes in expected.items()}
    missing = {who: classes for who, classes in missing.items() if classes}
    if not missing:
        return ""
    found = "; ".join(f"{', '.join(classes)} (of {who})" for who, classes in missing.items())
    return (
        f"found: ComfyUI does not have the node classes {found}\n"
        f"expected: every class of {', '.join(expected)}\n"
        "next step: look for 'Cannot import' in the lines above; after a change of commits, correct `classes` in the "
        "sources lock, or leave the pack out with comfyui_image_custom_nodes"
    )


def classes_of(process: int) -> list[str]:
    """The classes that ComfyUI has, as soon as it answers; none where it ended before."""
    while not ended(process, 0.2):
        try:
            with urllib.request.urlopen(URL, timeout=30) as answer:
                return list(json.load(answer))
        except (OSError, ValueError):
            continue
    return []


def ended(process: int, seconds: float) -> bool:
    """Whether a process ends within `seconds`, or has ended, be it that nobody has collected it yet."""
    try:
        watched = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([watched], [], [], seconds)[0])
    finally:
        os.close(watched)


def main(process: int) -> int:
    """0 where nothing is missing, or ComfyUI ended by itself; else 1, and ComfyUI is told to end."""
    MARK.unlink(missing_ok=True)
    there = classes_of(process)
    if not there:
        return 0
    wrong = problem(json.loads(EXPECTED.read_text()), there)
    if not wrong:
        MARK.touch()
        return 0
    print(wrong, file=sys.stderr, flush=True)
    os.kill(process, signal.SIGTERM)
    return 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
