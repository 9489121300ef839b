"""Client of a ComfyStack image-editing service."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from . import graphs, parameters
from .client import ComfyClient
from .errors import (
    AuthenticationError,
    ComfyError,
    ExecutionError,
    InputError,
    JobCancelledError,
    JobInterruptedError,
    JobTimeoutError,
    ModelMissingError,
    NodeProblem,
    OutOfMemoryError,
    ServerGoneError,
    ThrottledError,
    TlsError,
    TooLargeError,
    UnexpectedAnswerError,
    ValidationError,
)
from .events import Graph, ImageRef, Progress, Result

try:
    __version__ = version("comfystack")
except PackageNotFoundError:  # Run from a checkout.
    __version__ = "0"

__all__ = [
    "AuthenticationError",
    "ComfyClient",
    "ComfyError",
    "ExecutionError",
    "Graph",
    "ImageRef",
    "InputError",
    "JobCancelledError",
    "JobInterruptedError",
    "JobTimeoutError",
    "ModelMissingError",
    "NodeProblem",
    "OutOfMemoryError",
    "Progress",
    "Result",
    "ServerGoneError",
    "ThrottledError",
    "TlsError",
    "TooLargeError",
    "UnexpectedAnswerError",
    "ValidationError",
    "graphs",
    "parameters",
]
