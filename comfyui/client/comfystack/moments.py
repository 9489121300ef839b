"""When a token ends, as people write it: a day, which counts until it is over in UTC, or a moment."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

FORM = "a date such as 2027-01-31, or a moment with its zone such as 2027-01-31T18:00:00+01:00"
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# RFC 3339.
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def end_of(text: str) -> datetime:
    """The first moment, in UTC, at which it is over. Raises ValueError for what is neither day nor moment."""
    try:
        if _DATE.fullmatch(text):
            return datetime.fromisoformat(text).replace(tzinfo=UTC) + timedelta(days=1)
        if _MOMENT.fullmatch(text):
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # A day that no calendar has.
    raise ValueError(f"found {text!r}; expected {FORM}")
