"""The service put together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from comfystack import ComfyError
from comfystack.transport import Transport
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from . import answers, jobs, operating, page, signin, token_routes, uploads, views
from .comfyui import Comfyui
from .entrance import Entrance
from .gate import MESSAGES, Decision, Gate, without_token
from .guesses import Guesses
from .heads import asked_by_the_edge
from .images import routes as images
from .images.exchange import Exchange
from .images.limits import Limits
from .images.making import Kitchen
from .images.orders import Orders
from .images.refusals import Refused
from .images.results import Results
from .images.wishes import MOST_PICTURES
from .jobs import Owners
from .metrics import Metrics
from .sessions import Sessions
from .settings import Settings
from .state import State
from .tokens import Tokens
from .unkept import Unkept

# How soon what has expired is gone.
TIDY_SECONDS = 60.0
# Docker kills ten seconds after it asked: what is at work has had some of them (__main__.py) before it is let go.
STOP_SECONDS = 4.0
_log = logging.getLogger(__name__)


def build(settings: Settings) -> FastAPI:
    """The application; its state is opened here, so that a folder it cannot write ends it at the start."""
    state = State(settings.state_dir)
    tokens = Tokens(settings.tokens_file, state)
    gate = Gate(
        tokens, Sessions(state, tokens, settings.session_seconds), Guesses(settings.guesses_per_minute)
    )
    comfyui = Comfyui(settings.comfyui_url)
    owners = Owners(state)
    transport = Transport(settings.comfyui_url)
    metrics = Metrics()
    kitchen = Kitchen(
        transport,
        state,
        owners,
        Exchange(settings.incoming_dir, settings.outgoing_dir),
        settings.job_seconds,
        metrics.ended,
    )
    results = Results(state, settings.state_dir / "results", settings.results_seconds)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tidying = asyncio.create_task(_tidy(kitchen, results))
        yield
        tidying.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await kitchen.closed()
        await transport.close()
        await comfyui.close()
        state.close()

    app = FastAPI(
        title="ComfyStack",
        version="1",
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.add_middleware(Entrance, gate=gate)
    app.include_router(_edge(gate))
    app.include_router(signin.routes(gate))
    app.include_router(jobs.routes(gate, owners, comfyui))
    unkept = Unkept(comfyui, kitchen.exchange, settings.image_pixels)
    app.include_router(uploads.routes(gate, comfyui, unkept))
    app.include_router(views.routes(gate, comfyui))
    app.include_router(token_routes.routes(gate))
    app.include_router(operating.routes(gate, transport, metrics, settings.ready_queue))
    app.include_router(page.routes(app))
    limits = Limits(settings.requests_per_minute, settings.concurrent_requests)
    app.include_router(
        images.routes(
            images.Pictures(Orders(kitchen, results, settings.image_pixels), limits, settings.upload_bytes)
        )
    )
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Refused, _refused)
    return app


def _edge(gate: Gate) -> APIRouter:
    """What the edge alone asks: /auth for each request, /refused for what the visitor then gets to see."""
    router = APIRouter(include_in_schema=False)

    @router.get("/auth")
    async def auth(request: Request) -> Response:
        question = asked_by_the_edge(request)
        decision = gate.comfyui(question)
        name = decision.token.name if decision.token else "-"
        if decision.ok:
            # Where the request goes on to: as it was sent, but for a token in it.
            forward = without_token(question.uri)
            return Response(status_code=204, headers={"X-Forward-Uri": forward, "X-Token-Name": name})
        # The edge knows two ways of saying no; the reason decides what the visitor sees.
        status = 401 if decision.status == 401 else 403
        return Response(
            status_code=status,
            headers={"X-Refusal": f"{decision.reason} {decision.wait}", "X-Token-Name": name},
        )

    @router.get("/refused")
    async def refused(request: Request) -> Response:
        reason, _, wait = request.headers.get("x-refusal", "").partition(" ")
        decision = Decision(
            reason if reason in MESSAGES else "no-token", wait=int(wait) if wait.isdecimal() else 0
        )
        return answers.refusal(decision, asked_by_the_edge(request))

    return router


async def _tidy(kitchen: Kitchen, results: Results) -> None:
    """Removes what has expired and cancels what nobody waits for, now and then, as long as the service runs."""
    # Longer than any request lives: ten pictures after another.
    longest = float(kitchen.job_seconds * MOST_PICTURES)
    while True:
        try:
            await asyncio.to_thread(kitchen.exchange.sweep, longest)
            results.sweep(longest)
            with suppress(ComfyError):
                await kitchen.cancel_left()
        except OSError as error:
            _log.error("what has expired cannot be removed: %s", error)
        await asyncio.sleep(TIDY_SECONDS)


async def _refused(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refused)
    return error.response()


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return answers.error(400, "invalid", f"{where}: {first['msg']}")


async def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    kinds = {404: "unknown", 405: "method"}
    headers = dict(error.headers) if error.headers else None
    return answers.error(
        error.status_code, kinds.get(error.status_code, "request"), str(error.detail), headers
    )
