"""The tokens: those of the inventory, which the deployment writes, and those made at run time.

Only SHA-256 digests are stored. A slow, salted hash is for secrets that people think up; these have 32 or more
characters drawn at random, so that no dictionary has them and nothing is gained by making each look slow.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from comfystack import moments

from .state import State

_log = logging.getLogger(__name__)

Scope = Literal["user", "admin"]
SCOPES: tuple[Scope, ...] = ("user", "admin")
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
DIGEST = re.compile(r"[0-9a-f]{64}")
# What a header can carry as one word; the upper limit keeps hashing cheap.
PRESENTABLE = re.compile(r"[!-~]{32,256}")


@dataclass(frozen=True)
class Token:
    """One token by its digest; `source` says where it can be taken away for good. Times are seconds since 1970."""

    name: str
    scope: Scope
    digest: str
    source: Literal["inventory", "service"]
    created: float | None = None
    expires: float | None = None


class TokenError(Exception):
    """A token cannot be added or taken away; the text says why. `status` is the HTTP status for it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def digest_of(secret: str) -> str:
    """What is stored of a token or a session."""
    return hashlib.sha256(secret.encode()).hexdigest()


class Tokens:
    """All tokens that nobody took away; a changed file of the deployment is seen at the next question."""

    def __init__(self, file: Path, state: State, clock: Callable[[], float] = time.time) -> None:
        self._file, self._state, self._clock = file, state, clock
        self._seen: tuple[int, int, int] | None = None
        self._inventory: tuple[Token, ...] = ()
        self._known: tuple[Token, ...] = ()
        self._read()

    def all(self) -> tuple[Token, ...]:
        """The tokens, those that have ended among them, the inventory's first."""
        self._read()
        return self._known

    def ended(self, token: Token) -> bool:
        """Whether its time is over: it is known, and opens nothing."""
        return token.expires is not None and token.expires <= self._clock()

    def find(self, presented: str) -> Token | None:
        """The token behind what was presented, ended or not. Takes as long for a wrong one as for a right one."""
        if not PRESENTABLE.fullmatch(presented):
            return None
        return self.by_digest(digest_of(presented))

    def by_digest(self, digest: str) -> Token | None:
        found = None
        for token in self.all():
            if hmac.compare_digest(token.digest, digest):
                found = token
        return found

    def add(self, name: str, scope: str, digest: str, expires: str | None = None) -> Token:
        """A new token by its digest. Raises TokenError for a bad or taken name or end, or a digest that is known."""
        if not NAME.fullmatch(name) or scope not in SCOPES or not DIGEST.fullmatch(digest):
            raise TokenError(
                400,
                "expected a name of 1 to 64 letters, digits, '.', '_' or '-', the scope user or admin, "
                "and the token's SHA-256 in hexadecimal",
            )
        end = self._end_to_come(expires)
        if any(token.name == name for token in self.all()):
            raise TokenError(409, f"there is a token named {name} already; revoke it, or choose another name")
        if any(token.digest == digest for token in self.all()):
            raise TokenError(409, "this token is there already, under another name")
        if self._state.rows("SELECT 1 FROM revoked WHERE digest = ?", (digest,)):
            raise TokenError(409, "this token was revoked; a revoked token does not come back")
        # The end first, and also where there is none: whatever breaks in between, no token lives longer than it should.
        self._state.run("INSERT OR REPLACE INTO ends VALUES (?, ?)", (digest, end))
        self._state.run("INSERT INTO tokens VALUES (?, ?, ?, ?)", (name, scope, digest, self._clock()))
        self._combine()
        return next(token for token in self._known if token.name == name)

    def revoke(self, name: str) -> Token:
        """Takes a token away at once, the inventory's too. Raises TokenError where there is none of this name."""
        token = next((one for one in self.all() if one.name == name), None)
        if token is None:
            raise TokenError(404, f"there is no token named {name}")
        self._state.run("INSERT OR IGNORE INTO revoked VALUES (?, ?)", (token.digest, self._clock()))
        self._state.run("DELETE FROM tokens WHERE digest = ?", (token.digest,))
        self._state.run("DELETE FROM ends WHERE digest = ?", (token.digest,))
        self._state.run("DELETE FROM sessions WHERE token_digest = ?", (token.digest,))
        self._combine()
        return token

    def _end_to_come(self, expires: str | None) -> float | None:
        if expires is None:
            return None
        try:
            end = moments.end_of(expires)
        except ValueError as error:
            raise TokenError(400, f"expires: {error}") from None
        if end.timestamp() <= self._clock():
            raise TokenError(
                400, f"expires: found {end.isoformat()}, which is past; expected an end that is to come"
            )
        return end.timestamp()

    def _read(self) -> None:
        try:
            now = self._file.stat()
        except OSError as error:
            # Nobody but the deployment takes the file away; without it nobody of the inventory comes in.
            if self._seen is not None or not self._inventory:
                _log.error("the tokens of the deployment cannot be read: %s", error.strerror)
            self._seen, self._inventory = None, ()
            self._combine()
            return
        seen = (now.st_ino, now.st_mtime_ns, now.st_size)
        if seen == self._seen:
            return
        try:
            self._inventory = tuple(
                Token(
                    str(one["name"]),
                    _scope(one["scope"]),
                    str(one["sha256"]),
                    "inventory",
                    expires=moments.end_of(str(one["expires"])).timestamp() if "expires" in one else None,
                )
                for one in json.loads(self._file.read_text(encoding="utf-8"))
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            # A revoked token must not live on because the file that took it away cannot be read.
            _log.error("the tokens of the deployment cannot be read: %s", error)
            self._inventory = ()
        self._seen = seen
        self._combine()

    def _combine(self) -> None:
        gone = {digest for (digest,) in self._state.rows("SELECT digest FROM revoked")}
        made = [
            Token(name, _scope(scope), digest, "service", created, expires)
            for name, scope, digest, created, expires in self._state.rows(
                "SELECT name, scope, digest, created, expires FROM tokens LEFT JOIN ends USING (digest)"
                " ORDER BY created"
            )
        ]
        self._known = tuple(token for token in (*self._inventory, *made) if token.digest not in gone)


def _scope(text: object) -> Scope:
    if text == "admin":
        return "admin"
    if text == "user":
        return "user"
    raise ValueError(f"scope {text!r}")
