"""What goes wrong with a request for pictures, in OpenAI's shape."""

from __future__ import annotations

from comfystack import (
    ComfyError,
    InputError,
    JobCancelledError,
    JobInterruptedError,
    JobTimeoutError,
    ModelMissingError,
    OutOfMemoryError,
    ServerGoneError,
)
from comfystack.errors import printable
from fastapi.responses import JSONResponse

from .. import answers

# A start of ComfyUI takes about so long.
RESTART_SECONDS = 30
# OpenAI's client sends again what ended with 409 or 5xx, unless it is told that this would bring nothing.
_NO_RETRY = {"X-Should-Retry": "false"}


class Refused(Exception):
    """A request that ends with an error; `param` is the field that is wrong."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        param: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.param, self.headers = status, code, param, headers or {}

    @property
    def kind(self) -> str:
        """OpenAI's `type`."""
        if self.status == 429:
            return "rate_limit_error"
        return "invalid_request_error" if self.status < 500 else "server_error"

    def response(self) -> JSONResponse:
        # Half a surrogate pair, as JSON can carry it, could not be sent back.
        message, param = printable(str(self)), None if self.param is None else printable(self.param, 64)
        headers = {"Cache-Control": "no-store", **self.headers}
        return answers.error(self.status, self.kind, message, headers, param, self.code)


def wrong(param: str, message: str, code: str = "invalid_value") -> Refused:
    """A 400 about one field."""
    return Refused(400, code, message, param)


def gone() -> Refused:
    """ComfyUI is not there."""
    text = "ComfyUI does not answer, or has restarted and lost the job; send the request again"
    return Refused(503, "comfyui_unavailable", text, headers={"Retry-After": str(RESTART_SECONDS)})


def of_error(error: ComfyError) -> Refused:
    """What an error of the client means to whoever asked for pictures."""
    if isinstance(error, ServerGoneError):
        return gone()
    if isinstance(error, InputError):
        param = error.found.partition(" ")[0]
        return Refused(400, "invalid_value", f"{error.found}; expected: {error.expected}", param)
    if isinstance(error, ModelMissingError):
        return Refused(404, "model_not_found", error.found, "model")
    if isinstance(error, JobTimeoutError):
        return Refused(504, "timeout", error.found, headers=_NO_RETRY)
    if isinstance(error, JobCancelledError | JobInterruptedError):
        return Refused(409, "cancelled", error.found, headers=_NO_RETRY)
    code = "out_of_memory" if isinstance(error, OutOfMemoryError) else "execution_failed"
    return Refused(502, code, f"{error.found}; next step: {error.next_step}", headers=_NO_RETRY)
