"""The log: plain lines on standard error (or output), files on request, the last lines for /internal/logs."""

from __future__ import annotations

import argparse
import logging
import sys
from collections import deque
from datetime import datetime

_KEPT = 300
_DETAIL = 15
_LEVELS = {"DETAIL": _DETAIL}


class RecentLines(logging.Handler):
    """Keeps the newest lines as {"t": ISO time, "m": text}."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: deque[dict[str, str]] = deque(maxlen=_KEPT)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append({"t": datetime.now().isoformat(), "m": self.format(record) + "\n"})


def set_up_log(options: argparse.Namespace) -> RecentLines:
    logging.addLevelName(_DETAIL, "DETAIL")
    consoles = [level for level, file in options.verbose if file is None]
    root = logging.getLogger()
    root.setLevel(logging.DEBUG)
    console = logging.StreamHandler(sys.stdout if options.log_stdout else sys.stderr)
    console.setLevel(min((_number(level) for level in consoles), default=logging.INFO))
    recent = RecentLines()
    recent.setLevel(logging.INFO)
    root.addHandler(console)
    root.addHandler(recent)
    for level, file in options.verbose:
        if file is not None:
            handler = logging.FileHandler(file, encoding="utf-8")
            handler.setLevel(_number(level))
            root.addHandler(handler)
    for noisy in ("PIL", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    return recent


def _number(level: str) -> int:
    return _LEVELS.get(level) or int(getattr(logging, level))
