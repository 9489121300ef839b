"""The log: tagged lines on standard error (or output), files on request, the last lines for /internal/logs."""

from __future__ import annotations

import argparse
import logging
import sys
from collections import deque
from datetime import datetime
from typing import TextIO

_KEPT = 300
_DETAIL = 15
_COLOURS = {
    "DEBUG": "\x1b[36m",
    "DETAIL": "\x1b[34m",
    "INFO": "\x1b[32m",
    "WARNING": "\x1b[33m",
    "ERROR": "\x1b[31m",
    "CRITICAL": "\x1b[35m",
}
_LEVELS = {"DETAIL": _DETAIL}


class LevelTag(logging.Formatter):
    """Puts a coloured `[INFO] ` in front of every line, terminal or not: whoever reads the log meets it."""

    def format(self, record: logging.LogRecord) -> str:
        bold = "\x1b[1m" if record.levelno >= logging.WARNING else ""
        colour = _COLOURS.get(record.levelname, "")
        return f"{bold}{colour}[{record.levelname}]\x1b[0m {super().format(record)}"


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
    lowest = min((_number(level) for level in consoles), default=logging.INFO)
    console = _console(sys.stderr, lowest)
    if options.log_stdout:
        console.addFilter(lambda record: record.levelno >= logging.ERROR)
        ordinary = _console(sys.stdout, lowest)
        ordinary.addFilter(lambda record: record.levelno < logging.ERROR)
        root.addHandler(ordinary)
    recent = RecentLines()
    recent.setLevel(logging.INFO)
    recent.setFormatter(LevelTag())
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


def _console(stream: TextIO, level: int) -> logging.Handler:
    handler = logging.StreamHandler(stream)
    handler.setLevel(level)
    handler.setFormatter(LevelTag())
    return handler


def _number(level: str) -> int:
    return _LEVELS.get(level) or int(getattr(logging, level))
