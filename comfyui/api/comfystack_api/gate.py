"""The decision about one request: who asks, by which token, and whether that is enough.

Everything that decides stands in the request's head, as the edge received it; nothing is taken from a body.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote, unquote_plus, urlsplit

from . import rules, sessions
from .guesses import Guesses
from .sessions import Sessions
from .tokens import Token, Tokens, digest_of

Via = Literal["bearer", "api-key", "query", "session", "form", "none"]
QUERY_PARAMETER = "token"
_audit = logging.getLogger("audit")

STATUS = {
    "ok": 200,
    "malformed": 400,
    "no-number": 400,
    "no-token": 401,
    "unknown-token": 401,
    "expired-token": 401,
    "admin-only": 403,
    "other-origin": 403,
    "not-yours": 403,
    "throttled": 429,
}
MESSAGES = {
    "malformed": "the address of the request cannot be read without doubt; percent-encode it",
    "no-number": "found a word in the address where ComfyUI takes a number; expected max_items and offset to be whole "
    "numbers, such as max_items=10",
    "no-token": "found no valid token; expected Authorization: Bearer TOKEN or X-API-Key: TOKEN",
    "unknown-token": "found no valid token; expected Authorization: Bearer TOKEN or X-API-Key: TOKEN",
    # Told to nobody but who has that very token, or its session.
    "expired-token": "found a token that has expired; expected one that is valid: ask whoever gave you this one",
    "admin-only": "this needs a token of scope admin; ask the operator",
    "other-origin": "the request comes from a page of another site",
    "not-yours": "the job belongs to another token",
    "throttled": "too many different wrong tokens from this address; wait as long as Retry-After says",
}
# As the errors of the edge name them.
TYPES = {400: "malformed", 401: "authentication", 403: "permission", 429: "throttled"}


@dataclass(frozen=True)
class Question:
    """A request's head. `uri` is as it was sent, with its query; `headers` have lower-case names."""

    method: str
    uri: str
    headers: Mapping[str, str]
    address: str

    @property
    def path(self) -> str:
        return self.uri.partition("?")[0]


@dataclass(frozen=True)
class Decision:
    """`token` is who asks, where that is known; `wait` are seconds until a throttled address may come again."""

    reason: str
    via: Via = "none"
    token: Token | None = None
    wait: int = 0

    @property
    def status(self) -> int:
        return STATUS[self.reason]

    @property
    def ok(self) -> bool:
        return self.reason == "ok"


def without_token(uri: str) -> str:
    """The address without the parameter that carries a token."""
    path, _, query = uri.partition("?")
    left = [one for one in query.split("&") if unquote_plus(one.partition("=")[0]) != QUERY_PARAMETER]
    return path + ("?" + "&".join(left) if query and left else "")


def presented(question: Question) -> tuple[Via, str]:
    """The first credential that the request has; only that one counts."""
    scheme, _, value = question.headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() == "bearer":
        return "bearer", value.strip()
    if "x-api-key" in question.headers:
        return "api-key", question.headers["x-api-key"].strip()
    for one in question.uri.partition("?")[2].split("&"):
        name, _, value = one.partition("=")
        if unquote_plus(name) == QUERY_PARAMETER:
            return "query", unquote(value)
    session = sessions.of_cookies(question.headers.get("cookie", ""))
    return ("session", session) if session else ("none", "")


def from_elsewhere(headers: Mapping[str, str]) -> bool:
    """Whether a browser says that another site's page asks. A link that is followed is no page's request."""
    if headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-mode") != "navigate":
        return True
    origin = headers.get("origin")
    return origin is not None and _place(origin) != _place("//" + headers.get("host", ""))


def _place(url: str) -> str:
    """Host and port in lower case, without the ports that go without saying."""
    try:
        parts = urlsplit(url.lower())
        host, port = parts.hostname, parts.port
    except ValueError:
        return ""
    return f"{host}:{port}" if host and port not in (None, 80, 443) else host or ""


class Gate:
    """Asked once for each request; each answer is one line of the audit log."""

    def __init__(self, tokens: Tokens, open_sessions: Sessions, guesses: Guesses) -> None:
        self.tokens, self.sessions, self.guesses = tokens, open_sessions, guesses

    def comfyui(self, question: Question) -> Decision:
        """Whether a request may go straight to ComfyUI."""
        decision = self._decide(question, rules.user_may)
        if decision.ok and not rules.numbers_are_numbers(question.uri):
            decision = Decision("no-number", decision.via, decision.token)
        return self._told(question, decision)

    def own(self, question: Question, admin: bool = False) -> Decision:
        """Whether a request may use a route of this service; `admin`: of those that only admins may."""
        return self._told(question, self._decide(question, lambda *_: not admin))

    def sign_in(self, question: Question, secret: str) -> Decision:
        """Whether this token may begin a session."""
        return self._told(question, self._decide(question, lambda *_: True, ("form", secret)))

    def refuse(self, question: Question, decision: Decision, reason: str) -> Decision:
        """A decision that only the body could bring, such as whose job is meant."""
        return self._told(question, Decision(reason, decision.via, decision.token))

    def _decide(
        self,
        question: Question,
        user_may: Callable[[str, str], bool],
        given: tuple[Via, str] | None = None,
    ) -> Decision:
        if not rules.well_formed(question.uri):
            return Decision("malformed")
        if from_elsewhere(question.headers):
            return Decision("other-origin")
        via, secret = given or presented(question)
        if not secret:
            return Decision("no-token")
        # An ended session is no guess: everybody has one now and then.
        if via == "session":
            token = self.sessions.find(secret)
        else:
            digest = digest_of(secret)
            wait = self.guesses.wait(question.address, digest)
            if wait:
                return Decision("throttled", via, wait=wait)
            token = self.tokens.find(secret)
            right = token is not None and not self.tokens.ended(token)
            remember = self.guesses.was_right if right else self.guesses.was_wrong
            remember(question.address, digest)
        if token is None:
            return Decision("unknown-token", via)
        if self.tokens.ended(token):
            return Decision("expired-token", via, token)
        if token.scope != "admin" and not user_may(question.method, question.path):
            return Decision("admin-only", via, token)
        return Decision("ok", via, token)

    def _told(self, question: Question, decision: Decision) -> Decision:
        line = {
            "decision": "allow" if decision.ok else "deny",
            "reason": decision.reason,
            "token": decision.token.name if decision.token else None,
            "scope": decision.token.scope if decision.token else None,
            "via": decision.via,
            "method": question.method[:16],
            # Without the query, where old clients put their token.
            "path": question.path[:200],
            "address": question.address[:64],
        }
        _audit.info(json.dumps(line))
        return decision
