"""The way into /v1: nothing of a request but its head is read before it is known who asks."""

from __future__ import annotations

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from . import answers
from .gate import Decision, Gate
from .heads import question_of

FOLDER = "/v1/"
ADMINS = "/v1/tokens"


class Entrance:
    """Refuses what may not come in; hands the decision on to the route."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self._app, self._gate = app, gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(FOLDER):
            request = Request(scope)
            question = question_of(request)
            decision = self._gate.own(question, admin=scope["path"].startswith(ADMINS))
            if not decision.ok:
                await answers.refusal(decision, question)(scope, receive, send)
                return
            request.state.decision = decision
        await self._app(scope, receive, send)


def decision_of(request: Request) -> Decision:
    """Who asks, as the entrance found it."""
    found: Decision = request.state.decision
    return found
