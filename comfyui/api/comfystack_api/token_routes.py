"""Tokens made and revoked while the service runs. A token itself never comes here, only its digest."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from comfystack.moments import FORM
from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from . import answers
from .gate import Gate
from .tokens import DIGEST, NAME, Token, TokenError


class NewToken(BaseModel):
    """A token's name, scope and digest."""

    name: str = Field(pattern=f"^{NAME.pattern}$", description="who will use it; appears in the logs")
    scope: Literal["user", "admin"] = "user"
    sha256: str = Field(pattern=f"^{DIGEST.pattern}$", description="SHA-256 of the token, in hexadecimal")
    expires: str | None = Field(
        default=None, max_length=64, description=f"when it ends: {FORM}; never, if left out"
    )


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def routes(gate: Gate) -> APIRouter:
    """`/v1/tokens`; the entrance lets admins alone in."""
    router = APIRouter(prefix="/v1/tokens", tags=["tokens"])

    def shown(token: Token) -> dict[str, Any]:
        return {
            "name": token.name,
            "scope": token.scope,
            "source": token.source,
            "created": _moment(token.created),
            "expires": _moment(token.expires),
            "expired": gate.tokens.ended(token),
        }

    @router.get("")
    async def listed() -> Response:
        """The tokens by name, but for revoked ones; never the tokens themselves, nor their digests."""
        return JSONResponse({"tokens": [shown(one) for one in gate.tokens.all()]})

    @router.post("", status_code=201)
    async def added(new: NewToken) -> Response:
        """Make a token valid at once."""
        try:
            token = gate.tokens.add(new.name, new.scope, new.sha256, new.expires)
        except TokenError as error:
            return answers.error(error.status, "token", str(error))
        return JSONResponse(shown(token), 201)

    @router.delete("/{name}")
    async def revoked(name: str) -> Response:
        """Make a token invalid at once, and end its sessions."""
        try:
            token = gate.tokens.revoke(name)
        except TokenError as error:
            return answers.error(error.status, "token", str(error))
        return JSONResponse(shown(token))

    return router
