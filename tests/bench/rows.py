"""One line of the report: two figures of one run, their ratio, and the limit that is promised for it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """`ours` / `other`, both in `unit`, is to be at most `limit`.

    `commands` are those that made the two figures, as somebody could type them, ours first.
    """

    name: str
    ours: float
    other: float
    unit: str
    limit: float
    commands: tuple[str, str]

    @property
    def ratio(self) -> float:
        """What is promised about; the figures alone say nothing on another machine."""
        return self.ours / self.other

    @property
    def held(self) -> bool:
        """Whether the promise was kept in this run."""
        return self.ratio <= self.limit

    def document(self) -> dict[str, Any]:
        """The row for build/bench.json."""
        return {**asdict(self), "ratio": self.ratio, "held": self.held}
