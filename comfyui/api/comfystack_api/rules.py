"""What a token of scope `user` may do at ComfyUI. An admin may do everything that ComfyUI offers.

Reading is open but for CLOSED; of what changes something, only OPEN and OWN_JOBS are. The latter
go through this service, which looks whose job is meant, and never straight to ComfyUI.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

READING = frozenset({"GET", "HEAD", "OPTIONS"})
# Straight to ComfyUI: their bodies are large, and what they write is a file of the uploader's naming.
OPEN = frozenset({"/upload/image", "/upload/mask"})
# Through this service (jobs.py): own jobs only.
OWN_JOBS = frozenset({"/prompt", "/queue", "/interrupt", "/history"})
# Logs and folders of the server; and the add-on ComfyUI-Manager, whose GET requests install and restart.
CLOSED = (
    "internal",
    "manager",
    "comfyui_manager",
    "customnode",
    "externalmodel",
    "snapshot",
    "v2/manager",
    "v2/comfyui_manager",
    "v2/customnode",
    "v2/externalmodel",
    "v2/snapshot",
)
_PLAIN = re.compile(r"/[A-Za-z0-9_/-]*")


def well_formed(uri: str) -> bool:
    """Whether every part of the way reads an address alike; others are refused before anything is looked at."""
    return uri.startswith("/") and uri.isascii() and uri.isprintable() and not re.search(r"[\\# ]", uri)


def user_may(method: str, path: str) -> bool:
    """Whether scope `user` is enough for a request to ComfyUI. `path` as it was sent, without its query."""
    if method in READING:
        return not any(_below(readable, closed) for readable in _readings(path) for closed in CLOSED)
    # What writes has to be written plainly, so that it cannot be one thing here and another at ComfyUI.
    return method == "POST" and _PLAIN.fullmatch(path) is not None and path.removeprefix("/api") in OPEN


def _below(path: str, folder: str) -> bool:
    return f"{path}/".startswith(f"/{folder}/")


def _readings(path: str) -> set[str]:
    """Every path that a server could take this one for: decoded once or more, dots and slashes resolved or not."""
    found: set[str] = set()
    text = path
    for _ in range(4):
        for form in (text, _resolved(text)):
            found |= {form, form.removeprefix("/api")}
        text = unquote(text)
    return {f"/{form.lstrip('/')}".lower() for form in found}


def _resolved(path: str) -> str:
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)
