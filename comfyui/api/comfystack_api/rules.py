"""What a token of scope `user` may do at ComfyUI. An admin may do everything that ComfyUI offers.

Reading is open but for CLOSED; of what changes something, only UPLOADS and OWN_JOBS are. Those go through this
service, which looks into their bodies, and never straight to ComfyUI.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote

READING = frozenset({"GET", "HEAD", "OPTIONS"})
# Through uploads.py, which reads the form. What they write is a file of the uploader's naming.
UPLOADS = frozenset({"/upload/image", "/upload/mask"})
# Through jobs.py: own jobs only.
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
# The parameters that ComfyUI takes for whole numbers without looking: another word is its own error 500.
NUMBERS = {"/history": frozenset({"max_items", "offset"})}


def well_formed(uri: str) -> bool:
    """Whether every part of the way reads an address alike; others are refused before anything is looked at."""
    return uri.startswith("/") and uri.isascii() and uri.isprintable() and not re.search(r"[\\# ]", uri)


def user_may(method: str, path: str) -> bool:
    """Whether scope `user` is enough to ask ComfyUI itself. `path` as it was sent, without its query."""
    return method in READING and not any(
        _below(readable, closed) for readable in _readings(path) for closed in CLOSED
    )


def numbers_are_numbers(uri: str) -> bool:
    """Whether what ComfyUI will take for a number is one. `uri` with its query, as it was sent."""
    path, _, query = uri.partition("?")
    names = {name for readable in _readings(path) for name in NUMBERS.get(readable, ())}
    return all(
        _whole(value) for name, value in parse_qsl(query, keep_blank_values=True) if names and name in names
    )


def _whole(text: str) -> bool:
    try:
        int(text)
    except ValueError:
        return False
    return True


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
