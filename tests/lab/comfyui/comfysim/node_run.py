"""What a node's function is given, and what it gives back."""

from __future__ import annotations

import argparse
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from PIL import Image

from .folders import Folders

STEP_SECONDS_VARIABLE = "COMFYSIM_STEP_SECONDS"


class Interrupted(Exception):
    """Someone posted /interrupt while this graph ran."""


class NotModelled(RuntimeError):
    """A class that the real server could run and this one cannot."""


class ReportProgress(Protocol):
    """`whole`: the preview is no small JPEG but the picture itself."""

    def __call__(
        self, value: int, total: int, preview: Image.Image | None = None, whole: bool = False
    ) -> None: ...


@dataclass
class Setup:
    """What stays the same for every node of a server."""

    options: argparse.Namespace
    folders: Folders
    interrupt: threading.Event
    step_seconds: float


@dataclass
class NodeRun:
    """One node in one run. `graph` and `extra_pnginfo` are the hidden inputs that SaveImage writes out."""

    setup: Setup
    graph: dict[str, Any]
    extra_pnginfo: dict[str, Any] | None
    report: ReportProgress

    def wait_a_step(self) -> None:
        """Takes the time of one sampling step; an interrupt ends it at once."""
        if self.setup.interrupt.wait(self.setup.step_seconds):
            raise Interrupted


@dataclass
class NodeResult:
    outputs: tuple[Any, ...]
    ui: dict[str, list[Any]] | None = None


NodeFunction = Callable[..., NodeResult]


def step_seconds_from_environment() -> float:
    """Seconds per sampling step (COMFYSIM_STEP_SECONDS, default 0.05)."""
    text = os.environ.get(STEP_SECONDS_VARIABLE, "0.05")
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 3600:
        raise SystemExit(f"{STEP_SECONDS_VARIABLE}: found {text!r}, expected seconds from 0 to 3600")
    return seconds
