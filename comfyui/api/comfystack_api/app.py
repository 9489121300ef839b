"""The service put together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException

from . import answers, jobs, signin, token_routes
from .comfyui import Comfyui
from .entrance import Entrance
from .gate import MESSAGES, Decision, Gate, without_token
from .guesses import Guesses
from .heads import asked_by_the_edge
from .jobs import Owners
from .sessions import Sessions
from .settings import Settings
from .state import State
from .tokens import Tokens


def build(settings: Settings) -> FastAPI:
    """The application; its state is opened here, so that a folder it cannot write ends it at the start."""
    state = State(settings.state_dir)
    tokens = Tokens(settings.tokens_file, state)
    gate = Gate(
        tokens, Sessions(state, tokens, settings.session_seconds), Guesses(settings.guesses_per_minute)
    )
    comfyui = Comfyui(settings.comfyui_url)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
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
    app.include_router(jobs.routes(gate, Owners(state), comfyui))
    app.include_router(token_routes.routes(gate))
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
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

    @router.get("/healthz")
    async def healthz() -> Response:
        return PlainTextResponse("ok\n")

    return router


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
