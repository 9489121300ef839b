"""How much one token may ask for: requests within a minute, and requests at a time."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .refusals import Refused

WINDOW_SECONDS = 60.0
# When one of the requests at work will have ended is not known.
BUSY_SECONDS = 5


class Limits:
    """Counts by token."""

    def __init__(self, per_minute: int, at_a_time: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute, self._at_a_time, self._clock = per_minute, at_a_time, clock
        self._begun: defaultdict[str, deque[float]] = defaultdict(deque)
        self._working: defaultdict[str, int] = defaultdict(int)

    @contextmanager
    def one(self, owner: str) -> Iterator[None]:
        """One request of this token; raises Refused where it is one too many."""
        now, begun = self._clock(), self._begun[owner]
        while begun and begun[0] <= now - WINDOW_SECONDS:
            begun.popleft()
        if len(begun) >= self._per_minute:
            wait = max(1, round(begun[0] + WINDOW_SECONDS - now))
            raise _too_many(f"{self._per_minute} requests within a minute", wait)
        if self._working[owner] >= self._at_a_time:
            raise _too_many(f"{self._at_a_time} requests at a time", BUSY_SECONDS)
        begun.append(now)
        self._working[owner] += 1
        try:
            yield
        finally:
            self._working[owner] -= 1


def _too_many(limit: str, wait: int) -> Refused:
    message = f"too many requests of this token; at most {limit}. Wait as long as Retry-After says"
    return Refused(429, "rate_limit_exceeded", message, headers={"Retry-After": str(wait)})
