"""Tokens made and revoked while the service runs. A token itself never comes here, only its digest."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

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


def _shown(token: Token) -> dict[str, Any]:
    created = None if token.created is None else datetime.fromtimestamp(token.created, UTC).isoformat()
    return {"name": token.name, "scope": token.scope, "source": token.source, "created": created}


def routes(gate: Gate) -> APIRouter:
    """`/v1/tokens`; the entrance lets admins alone in."""
    router = APIRouter(prefix="/v1/tokens", tags=["tokens"])

    @router.get("")
    async def listed() -> Response:
        """The valid tokens by name; never the tokens themselves, nor their digests."""
        return JSONResponse({"tokens": [_shown(one) for one in gate.tokens.all()]})

    @router.post("", status_code=201)
    async def added(new: NewToken) -> Response:
        """Make a token valid at once."""
        try:
            token = gate.tokens.add(new.name, new.scope, new.sha256)
        except TokenError as error:
            return answers.error(error.status, "token", str(error))
        return JSONResponse(_shown(token), 201)

    @router.delete("/{name}")
    async def revoked(name: str) -> Response:
        """Make a token invalid at once, and end its sessions."""
        try:
            token = gate.tokens.revoke(name)
        except TokenError as error:
            return answers.error(error.status, "token", str(error))
        return JSONResponse(_shown(token))

    return router
