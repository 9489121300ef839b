"""Healthy means that ComfyUI answers on the pinned card, with all of its nodes, and not only that a port is open.

Asked on loopback, where no token is needed: authentication stands at the edge.
"""

import json
import os
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

URL = "http://127.0.0.1:8188/system_stats"
# The mark that nodes.py sets.
NODES = Path("/tmp/comfystack-nodes")  # noqa: S108 - nobody else is in this container


def problem(devices: list[dict[str, Any]], environment: Mapping[str, str]) -> str:
    """Why these devices of ComfyUI's are not what the container was pinned to, or ""."""
    if not devices:
        return "no device"
    expected = environment.get("COMFYSTACK_GPU_NAME", "")
    # "cuda:0 NVIDIA GeForce RTX 3090 : cudaMallocAsync", or "cpu".
    found = devices[0]["name"].partition(" ")[2].partition(" : ")[0] or devices[0]["name"]
    return "" if not expected or found == expected else f"found: {found}; expected: {expected}"


def main() -> int:
    """0 when ComfyUI answers with the pinned card, else 1 with the reason on stdout (Docker keeps it)."""
    try:
        with urllib.request.urlopen(URL, timeout=3) as answer:
            devices = json.load(answer)["devices"]
            wrong = problem(devices, os.environ)
        if not wrong and not NODES.exists():
            wrong = "its node classes are not compared yet"
    except (OSError, ValueError, KeyError) as error:
        wrong = f"{URL}: {error}"
    print(wrong or devices[0]["name"])
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
