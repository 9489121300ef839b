"""What goes through here because only its body says enough: submit, stop, take out and forget jobs, free memory.

An admin's settings, too: what is no JSON is ComfyUI's own error 500.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from typing import Any

import aiohttp
from fastapi import APIRouter, Request
from fastapi.responses import Response

from . import answers, shapes
from .comfyui import Comfyui
from .gate import Decision, Gate, Question
from .heads import question_of
from .state import State

BODY_BYTES = 16 * 1024 * 1024
# Longer than any job stays in ComfyUI's memory.
KEPT_SECONDS = 30 * 86400
ADMINS = ("free", "settings")
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Owners:
    """Which token submitted which job."""

    def __init__(self, state: State) -> None:
        self._state = state

    def of(self, prompt_id: str) -> str | None:
        rows = self._state.rows("SELECT owner FROM jobs WHERE prompt_id = ?", (prompt_id,))
        return str(rows[0][0]) if rows else None

    def keep(self, prompt_id: str, owner: str) -> None:
        now = time.time()
        self._state.run("DELETE FROM jobs WHERE at < ?", (now - KEPT_SECONDS,))
        self._state.run("INSERT OR IGNORE INTO jobs VALUES (?, ?, ?)", (prompt_id, owner, now))


class _Refused(Exception):
    """The body asks for something that this token may not do."""


def routes(gate: Gate, owners: Owners, comfyui: Comfyui) -> APIRouter:
    """What the edge sends here instead of to ComfyUI: POST about jobs, and to /free and /settings."""
    router = APIRouter(prefix="/_jobs", include_in_schema=False)
    own = _Own(owners, comfyui)

    @router.post("/{name}")
    @router.post("/{name}/{key}")
    async def job(request: Request, name: str, key: str | None = None) -> Response:
        question = question_of(request)
        decision = gate.own(question, admin=name in ADMINS)
        if not decision.ok or decision.token is None:
            return answers.refusal(decision, question)
        handle = {
            "prompt": own.prompt,
            "queue": own.deletion,
            "history": own.deletion,
            "interrupt": own.interrupt,
            "free": own.as_it_is,
            "settings": own.as_it_is,
        }.get(name)
        if handle is None or (key is not None and name != "settings"):
            return answers.error(404, "unknown", "there is no such route")
        body = await _body(request)
        if body is None:
            return answers.error(413, "too_large", f"a job's description has at most {BODY_BYTES} bytes")
        try:
            document = json.loads(body) if body or key is not None else {}
        except (ValueError, RecursionError):
            return _bad("the body is not JSON; expected it as ComfyUI takes it")
        if key is not None:
            document = {key: document}
        if not isinstance(document, dict):
            return _bad("the body is no JSON object; expected one as ComfyUI takes it")
        wrong = shapes.wrong(name, document)
        if wrong:
            return _bad(wrong)
        try:
            wanted = await handle(document, decision)
            if wanted is None:
                return Response(status_code=200)
            status, kind, content = await comfyui.post(f"/{name}", wanted)
        except _Refused as refused:
            return _refuse(gate, question, decision, str(refused))
        except (aiohttp.ClientError, TimeoutError, OSError):
            return answers.error(502, "unavailable", "ComfyUI does not answer; it may be starting")
        return Response(content, status, media_type=kind)

    return router


class _Own:
    """What is left of a request's body when everything was taken out that concerns nobody's or others' jobs."""

    def __init__(self, owners: Owners, comfyui: Comfyui) -> None:
        self._owners, self._comfyui = owners, comfyui

    async def prompt(self, body: dict[str, Any], decision: Decision) -> dict[str, Any]:
        assert decision.token is not None
        if decision.token.scope != "admin" and (body.get("front") or body.get("number") is not None):
            raise _Refused("admin-only")
        # Our own id, so that it is known whose job it is before there is one.
        prompt_id = body.setdefault("prompt_id", str(uuid.uuid4()))
        if isinstance(prompt_id, str) and _ID.fullmatch(prompt_id):
            self._owners.keep(prompt_id, decision.token.digest)
            self._must_own(prompt_id, decision)
        return body

    async def deletion(self, body: dict[str, Any], decision: Decision) -> dict[str, Any] | None:
        assert decision.token is not None
        if decision.token.scope == "admin":
            return body
        if body.get("clear"):
            raise _Refused("admin-only")
        ids = body.get("delete") or []
        if not isinstance(ids, list):
            raise _Refused("admin-only")
        for prompt_id in ids:
            self._must_own(str(prompt_id), decision)
        return {"delete": ids} if ids else None

    async def interrupt(self, body: dict[str, Any], decision: Decision) -> dict[str, Any] | None:
        assert decision.token is not None
        if decision.token.scope == "admin":
            return body
        prompt_id = body.get("prompt_id")
        if not prompt_id:
            # ComfyUI would stop whatever runs.
            running = await self._comfyui.running()
            if not running:
                return None
            prompt_id = running[0]
        self._must_own(str(prompt_id), decision)
        return {"prompt_id": str(prompt_id)}

    async def as_it_is(self, body: dict[str, Any], _: Decision) -> dict[str, Any]:
        return body

    def _must_own(self, prompt_id: str, decision: Decision) -> None:
        """A job of nobody's is none that ComfyUI could have: every job comes through here."""
        assert decision.token is not None
        if decision.token.scope != "admin" and self._owners.of(prompt_id) not in (
            None,
            decision.token.digest,
        ):
            raise _Refused("not-yours")


def _bad(message: str) -> Response:
    return answers.error(400, "no_prompt", message)


def _refuse(gate: Gate, question: Question, decision: Decision, reason: str) -> Response:
    return answers.refusal(gate.refuse(question, decision, reason), question)


async def _body(request: Request) -> bytes | None:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > BODY_BYTES:
            return None
        parts.append(part)
    return b"".join(parts)
