"""Submitting graphs, the queue, the history, jobs, interrupting and freeing."""

from __future__ import annotations

import json
import logging
import time
import uuid
from typing import Any

from aiohttp import web

from . import jobs
from .state import STATE
from .validation import validate

routes = web.RouteTableDef()
_log = logging.getLogger(__name__)

_SECRETS = ("auth_token_comfy_org", "api_key_comfy_org")


def _refusal(kind: str, message: str, details: str) -> web.Response:
    error = {"type": kind, "message": message, "details": details, "extra_info": {}}
    return web.json_response({"error": error, "node_errors": {}}, status=400)


def _wish(body: Any, name: str) -> Any:
    """A field of a body, None where it is not there; a list, as a body, holds no fields and is no error."""
    return body[name] if name in body else None  # noqa: SIM401 - a list has no get()


@routes.get("/prompt")
async def get_prompt(request: web.Request) -> web.Response:
    return web.json_response(request.app[STATE].queue_info())


@routes.post("/prompt")
async def post_prompt(request: web.Request) -> web.Response:
    """Queues a graph. A body that is no JSON, or a prompt that is no object, is a 500 as on a real server."""
    state = request.app[STATE]
    _log.info("got prompt")
    body: Any = await request.json()
    number: float
    if "number" in body:
        number = float(body["number"])
    else:
        number = -state.next_number if _wish(body, "front") else state.next_number
        state.next_number += 1
    if "prompt" not in body:
        return _refusal("no_prompt", "No prompt provided", "No prompt provided")
    prompt_id = body.get("prompt_id")
    if prompt_id is None:
        prompt_id = str(uuid.uuid4())
    elif not jobs.is_job_id(prompt_id):
        return _refusal(
            "invalid_prompt_id",
            "prompt_id must be a valid UUID",
            "prompt_id must be a UUID string in canonical lowercase hyphenated form; "
            "omit it to let the server generate one",
        )
    graph = body["prompt"]
    if not isinstance(graph, dict):
        raise TypeError(f"prompt is {type(graph).__name__}, not an object")
    verdict = validate(graph, state.contract, body.get("partial_execution_targets"))
    if verdict.error:
        _log.warning("invalid prompt: %s", verdict.error)
        return web.json_response({"error": verdict.error, "node_errors": verdict.node_errors}, status=400)
    extra: dict[str, Any] = body.get("extra_data", {})
    if "client_id" in body:
        extra["client_id"] = body["client_id"]
    for secret in _SECRETS:
        extra.pop(secret, None)
    extra["create_time"] = int(time.time() * 1000)
    state.queue.put((number, prompt_id, graph, extra, verdict.outputs))
    return web.json_response({"prompt_id": prompt_id, "number": number, "node_errors": verdict.node_errors})


@routes.get("/queue")
async def get_queue(request: web.Request) -> web.Response:
    running, pending = request.app[STATE].queue.snapshot()
    return web.json_response({"queue_running": running, "queue_pending": pending})


@routes.post("/queue")
async def post_queue(request: web.Request) -> web.Response:
    queue = request.app[STATE].queue
    body = await request.json()
    if _wish(body, "clear"):
        queue.clear()
    for prompt_id in _wish(body, "delete") or ():
        queue.delete(prompt_id)
    return web.Response()


@routes.get("/history")
async def get_history(request: web.Request) -> web.Response:
    query = request.query
    max_items = int(query["max_items"]) if "max_items" in query else None
    page = request.app[STATE].queue.history_page(max_items, int(query.get("offset", -1)))
    return web.json_response(page)


@routes.get("/history/{prompt_id}")
async def get_history_entry(request: web.Request) -> web.Response:
    """`{}` for an unknown, a pending and a running job alike."""
    return web.json_response(request.app[STATE].queue.history_of(request.match_info["prompt_id"]))


@routes.post("/history")
async def post_history(request: web.Request) -> web.Response:
    queue = request.app[STATE].queue
    body = await request.json()
    if _wish(body, "clear"):
        queue.clear_history()
    for prompt_id in _wish(body, "delete") or ():
        queue.delete_history(prompt_id)
    return web.Response()


@routes.post("/interrupt")
async def post_interrupt(request: web.Request) -> web.Response:
    """Interrupts the running job, or only the named one if that is it; always 200."""
    state = request.app[STATE]
    try:
        prompt_id = (await request.json()).get("prompt_id")
    except json.JSONDecodeError:
        prompt_id = None
    if prompt_id:
        if not state.queue.interrupt_running(prompt_id):
            _log.info("Prompt %s is not currently running, skipping interrupt", prompt_id)
    else:
        _log.info("Global interrupt (no prompt_id specified)")
        state.setup.interrupt.set()
    return web.Response()


@routes.post("/free")
async def post_free(request: web.Request) -> web.Response:
    queue = request.app[STATE].queue
    body = await request.json()
    for flag in ("unload_models", "free_memory"):
        if body.get(flag):
            queue.set_flag(flag)
    return web.Response()


def _bad(message: str, **more: Any) -> web.Response:
    return web.json_response({"error": message, **more}, status=400)


@routes.get("/api/jobs")
async def get_jobs(request: web.Request) -> web.Response:
    query = request.query
    statuses = [word.strip().lower() for word in query.get("status", "").split(",") if word.strip()]
    wrong = [word for word in statuses if word not in jobs.STATUSES]
    if wrong:
        valid = ", ".join(jobs.STATUSES)
        return _bad(f"Invalid status value(s): {', '.join(wrong)}. Valid values: {valid}")
    sort_by = query.get("sort_by", "created_at").lower()
    if sort_by not in ("created_at", "execution_duration"):
        return _bad("sort_by must be 'created_at' or 'execution_duration'")
    sort_order = query.get("sort_order", "desc").lower()
    if sort_order not in ("asc", "desc"):
        return _bad("sort_order must be 'asc' or 'desc'")
    try:
        limit = int(query["limit"]) if "limit" in query else None
    except ValueError:
        return _bad("limit must be an integer")
    if limit is not None and limit <= 0:
        return _bad("limit must be a positive integer")
    try:
        offset = max(0, int(query.get("offset", 0)))
    except ValueError:
        return _bad("offset must be an integer")
    page, total = jobs.list_jobs(
        request.app[STATE].queue,
        statuses or jobs.STATUSES,
        query.get("workflow_id"),
        sort_by,
        sort_order == "desc",
        offset,
        limit,
    )
    pagination = {"offset": offset, "limit": limit, "total": total, "has_more": offset + len(page) < total}
    return web.json_response({"jobs": page, "pagination": pagination})


@routes.get("/api/jobs/{job_id}")
async def get_job(request: web.Request) -> web.Response:
    job = jobs.find_job(request.app[STATE].queue, request.match_info["job_id"])
    if job is None:
        return web.json_response({"error": "Job not found"}, status=404)
    return web.json_response(job)


@routes.post("/api/jobs/cancel")
async def cancel_jobs(request: web.Request) -> web.Response:
    try:
        body = await request.json()
    except json.JSONDecodeError:
        return _bad("Request body must be valid JSON")
    job_ids = body.get("job_ids") if isinstance(body, dict) else None
    if not isinstance(job_ids, list):
        return _bad("job_ids must be a list")
    wrong = [
        job_id if isinstance(job_id, str) else repr(job_id)
        for job_id in job_ids
        if not jobs.is_job_id(job_id)
    ]
    if wrong:
        return _bad("job_ids contains invalid id(s)", invalid_ids=wrong)
    queue = request.app[STATE].queue
    cancelled = [job_id for job_id in job_ids if jobs.cancel(queue, job_id)]
    return web.json_response({"cancelled": bool(cancelled)})


@routes.post("/api/jobs/{job_id}/cancel")
async def cancel_job(request: web.Request) -> web.Response:
    cancelled = jobs.cancel(request.app[STATE].queue, request.match_info["job_id"])
    return web.json_response({"cancelled": cancelled})
