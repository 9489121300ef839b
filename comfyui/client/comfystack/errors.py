"""What can go wrong, as types. Each error says what was found, what was expected and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


def printable(text: str, limit: int = 300) -> str:
    """One line without control characters: a server's text must not drive the operator's terminal."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


class ComfyError(Exception):
    """Base of every error this package raises on purpose. `exit_code` is what the command line ends with."""

    exit_code = 1

    def __init__(self, found: str, expected: str, next_step: str) -> None:
        self.found = printable(found, 1200)
        self.expected = printable(expected)
        self.next_step = printable(next_step)
        super().__init__(f"{self.found}. Expected: {self.expected}. Next step: {self.next_step}")


class InputError(ComfyError):
    """Something on this side is wrong (a file, a setting, an argument); nothing was sent."""

    exit_code = 2


class AuthenticationError(ComfyError):
    """The service did not accept the token, or none was sent (401, 403)."""

    exit_code = 3


@dataclass(frozen=True)
class NodeProblem:
    """One complaint of the server about one input of one node; `field` is "" when it is about the node."""

    node_id: str
    class_type: str
    field: str
    kind: str
    details: str

    def __str__(self) -> str:
        where = f"node {self.node_id} ({self.class_type})" if self.class_type else f"node {self.node_id}"
        return f"{where}{', ' + self.field if self.field else ''}: {self.details or self.kind}"


class ValidationError(ComfyError):
    """The server refused the workflow, or part of it; `problems` names node and field."""

    exit_code = 4

    def __init__(
        self, found: str, expected: str, next_step: str, problems: Sequence[NodeProblem] = ()
    ) -> None:
        super().__init__(found, expected, next_step)
        self.problems = tuple(problems)


class ModelMissingError(ValidationError):
    """A loader names a model file that the server does not have."""


class TooLargeError(ComfyError):
    """The upload is larger than the service takes (413)."""

    exit_code = 4


class ExecutionError(ComfyError):
    """A node failed while the job was running."""

    exit_code = 5

    def __init__(
        self,
        found: str,
        expected: str,
        next_step: str,
        *,
        node_id: str = "",
        node_type: str = "",
        exception_type: str = "",
    ) -> None:
        super().__init__(found, expected, next_step)
        self.node_id = node_id
        self.node_type = node_type
        self.exception_type = exception_type


class OutOfMemoryError(ExecutionError):
    """The card's memory did not suffice for the job."""


class JobInterruptedError(ComfyError):
    """Someone interrupted the job while it ran."""

    exit_code = 6


class JobCancelledError(ComfyError):
    """The job is no longer known to a server that never went away: it was taken out of the queue."""

    exit_code = 6


class JobTimeoutError(ComfyError):
    """The job did not finish in the time allowed; it has been cancelled on the server."""

    exit_code = 7


class ServerGoneError(ComfyError):
    """Nothing answers, the connection broke, or the server came back without the job.

    `maybe_received` says that the request may have reached the server before the failure.
    """

    exit_code = 8

    def __init__(self, found: str, expected: str, next_step: str, *, maybe_received: bool = False) -> None:
        super().__init__(found, expected, next_step)
        self.maybe_received = maybe_received


class ThrottledError(ServerGoneError):
    """The service answers no more for now (429); a job that it has goes on meanwhile."""


class UnexpectedAnswerError(ComfyError):
    """Something answered, but not as a ComfyUI does."""

    exit_code = 8

    def __init__(self, found: str, expected: str, next_step: str, *, status: int = 0) -> None:
        super().__init__(found, expected, next_step)
        self.status = status


class TlsError(ComfyError):
    """The TLS connection was refused by one side: certificate, name or protocol."""

    exit_code = 9


class WrongFileError(ComfyError):
    """A model file is not what the models lock says it is. Nothing of that content got its final name from us."""

    exit_code = 10
