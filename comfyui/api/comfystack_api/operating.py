"""What whoever runs the service asks: does it live, does it take work, what does it do."""

from __future__ import annotations

from typing import Any

from comfystack import ComfyError
from comfystack.transport import Transport
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from . import answers
from .gate import Gate
from .heads import PEER, question_of
from .images.refusals import RESTART_SECONDS, Refused, gone
from .metrics import Metrics


def routes(gate: Gate, transport: Transport, metrics: Metrics, ready_queue: int) -> APIRouter:
    """`/healthz` and `/readyz` for everybody; `/metrics` for admins, and inside the services' own network."""
    router = APIRouter(tags=["operating"])

    @router.get("/healthz", include_in_schema=False)
    async def healthz() -> Response:
        return PlainTextResponse("ok\n")

    @router.get("/readyz")
    async def readyz() -> Response:
        """Whether a job of now would begin soon: 503 where ComfyUI is away or its queue is deep."""
        try:
            told = (await transport.exchange("GET", "/prompt")).mapping()
        except ComfyError:
            raise gone() from None
        jobs = int(told.get("exec_info", {}).get("queue_remaining", 0))
        if jobs > ready_queue:
            message = f"{jobs} jobs are queued, more than {ready_queue}; come again when Retry-After is over"
            raise Refused(503, "queue_full", message, headers={"Retry-After": str(RESTART_SECONDS)})
        return JSONResponse({"ready": True, "queue": jobs}, headers={"Cache-Control": "no-store"})

    @router.get("/metrics")
    async def told(request: Request) -> Response:
        """In the text format of Prometheus."""
        # The edge says of everybody whom it sends here where he comes from.
        if PEER in request.headers:
            question = question_of(request)
            decision = gate.own(question, admin=True)
            if not decision.ok:
                return answers.refusal(decision, question)
        queue, stats = await _asked(transport, "/queue"), await _asked(transport, "/system_stats")
        return Response(metrics.text(queue, stats), media_type=CONTENT_TYPE_LATEST)

    return router


async def _asked(transport: Transport, path: str) -> dict[str, Any] | None:
    try:
        return (await transport.exchange("GET", path)).mapping()
    except ComfyError:
        return None
