"""What a browser gets for a token: a random cookie, known here by its digest, that ends with the token."""

from __future__ import annotations

import secrets
import time
from http.cookies import CookieError, SimpleCookie

from .state import State
from .tokens import Token, Tokens, digest_of

# The prefix makes browsers refuse it without Secure, with a Domain, or for a part of the site only.
COOKIE = "__Host-comfystack"


def of_cookies(header: str) -> str:
    """The session in a Cookie header, or ""."""
    try:
        morsel = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return "" if morsel is None else morsel.value


def cookie(secret: str, seconds: int) -> str:
    """The Set-Cookie header. Strict: a link from another site arrives without it, and so can do nothing."""
    return f"{COOKIE}={secret}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Strict"


class Sessions:
    """The open sessions."""

    def __init__(self, state: State, tokens: Tokens, seconds: int) -> None:
        self._state, self._tokens, self.seconds = state, tokens, seconds

    def begin(self, token: Token) -> str:
        """A new session of a token; the secret that stands for it is returned once and kept nowhere."""
        now = time.time()
        self._state.run("DELETE FROM sessions WHERE expires <= ?", (now,))
        secret = secrets.token_urlsafe(32)
        self._state.run(
            "INSERT INTO sessions VALUES (?, ?, ?)", (digest_of(secret), token.digest, now + self.seconds)
        )
        return secret

    def find(self, secret: str) -> Token | None:
        """The token whose session this is, while that lasts. The token itself may have ended: the caller asks."""
        rows = self._state.rows(
            "SELECT token_digest FROM sessions WHERE digest = ? AND expires > ?",
            (digest_of(secret), time.time()),
        )
        return self._tokens.by_digest(rows[0][0]) if rows else None

    def end(self, secret: str) -> None:
        self._state.run("DELETE FROM sessions WHERE digest = ?", (digest_of(secret),))
