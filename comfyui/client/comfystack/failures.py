"""What a broken connection, an HTTP status or a validation report means, in the operator's words."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import aiohttp

from .errors import (
    AuthenticationError,
    ComfyError,
    ExecutionError,
    JobInterruptedError,
    ModelMissingError,
    NodeProblem,
    OutOfMemoryError,
    ServerGoneError,
    ThrottledError,
    TlsError,
    TooLargeError,
    UnexpectedAnswerError,
    ValidationError,
    printable,
)

# The inputs by which loaders name a file, and the models folder the file belongs to.
MODEL_FOLDERS = {
    "unet_name": "diffusion_models",
    "clip_name": "text_encoders",
    "vae_name": "vae",
    "lora_name": "loras",
    "ckpt_name": "checkpoints",
    "control_net_name": "controlnet",
    "model_name": "diffusion_models",
}


def of_connection(error: BaseException, peer: str) -> ComfyError:
    """The typed error for an exchange that brought no HTTP answer."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause = error.certificate_error
        reason = getattr(cause, "verify_message", "") or str(cause)
        return TlsError(
            f"the certificate of {peer} is not trusted: {reason}",
            "a certificate for this name from a CA that this side trusts",
            "name the site's CA with --ca-file, or correct the host name in the URL",
        )
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return TlsError(
            f"no TLS connection to {peer}: {error.os_error}",
            "a server that speaks TLS on that port",
            "check scheme and port of the URL",
        )
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return ServerGoneError(
            f"the name in {peer} does not resolve",
            "a name that the resolver knows",
            "correct --url, or say where the name stands with --connect-to HOST:PORT",
        )
    if isinstance(error, aiohttp.ClientConnectorError):
        return ServerGoneError(
            f"nothing answers at {peer}: {error.os_error.strerror or error.os_error or 'connection refused'}",
            "the service listening there",
            "check that the service runs, and --url and --connect-to",
        )
    if isinstance(error, aiohttp.InvalidURL):
        return UnexpectedAnswerError(f"{peer} is not a usable URL", "https://HOST[:PORT]", "correct --url")
    if isinstance(error, TimeoutError):
        return ServerGoneError(
            f"{peer} did not answer in time",
            "an answer within the exchange's limit",
            "check that the service is well, then run again",
            maybe_received=not isinstance(error, aiohttp.ConnectionTimeoutError),
        )
    return ServerGoneError(
        f"the connection to {peer} broke: {error or type(error).__name__}",
        "a complete answer",
        "check that the service is well and that the upload is within its size limit, then run again",
        maybe_received=True,
    )


def _said(body: bytes, field: str) -> str:
    """What the service itself says in an error's JSON; "" for any other body."""
    try:
        return printable(str(json.loads(body)["error"][field]))
    except (ValueError, KeyError, TypeError):
        return ""


def _words(body: bytes) -> str:
    """The service's own message, after a colon."""
    text = _said(body, "message")
    return f": {text}" if text else ""


def of_status(
    status: int, body: bytes, headers: Mapping[str, str], path: str, peer: str, has_token: bool
) -> ComfyError:
    """The typed error for an HTTP status that the caller has no use for."""
    if status == 401:
        sent = "the token was not accepted" if has_token else "no token was sent"
        if _said(body, "code") == "expired-token":
            sent = "the token has expired"
        return AuthenticationError(
            f"{peer} answered 401: {sent}",
            "a token that the service knows",
            "name the token's file with --token-file or COMFYSTACK_TOKEN_FILE",
        )
    if status == 403:
        return AuthenticationError(
            f"{peer} answered 403 to {path}{_words(body)}",
            "permission for this request",
            "check that the token may do this and that the proxy in front keeps the public Host header",
        )
    if status == 429:
        wait = headers.get("Retry-After", "")
        return ThrottledError(
            f"{peer} answered 429{_words(body)}",
            "fewer requests at a time, and a token that is right",
            f"wait {wait if wait.isdecimal() else '60'} seconds, then run again",
        )
    if status == 413:
        return TooLargeError(
            f"{peer} answered 413: the upload is too large",
            "an image within the service's upload limit",
            "make the image smaller, or ask the operator to raise the limit",
        )
    if status == 404 and path == "/upload/image":
        return TooLargeError(
            f"{peer} answered 404 to an upload",
            "an image within the service's upload limit (IIS answers 404 beyond it)",
            "make the image smaller; if it is small, check that the URL is the service's own",
        )
    if status in (502, 503, 504):
        return ServerGoneError(
            f"{peer} answered {status}: the proxy is there, the service behind it is not",
            "ComfyUI running behind the proxy",
            "wait until the service is up, then run again; the operator checks it with `make verify`",
            maybe_received=status != 503,
        )
    if 300 <= status < 400:
        return UnexpectedAnswerError(
            f"{peer} redirects to {headers.get('Location') or 'nowhere'}",
            "the service itself at this URL",
            "use the address it redirects to as --url",
            status=status,
        )
    text = re.sub(r"<[^>]*>", " ", body[:2000].decode(errors="replace"))
    return UnexpectedAnswerError(
        f"{peer} answered {status} to {path}: {printable(text, 160) or 'no text'}",
        "an answer that ComfyUI gives",
        "check that the URL is the service's own; the server's log says more",
        status=status,
    )


def of_refused_prompt(answer: Mapping[str, Any]) -> ValidationError | None:
    """The typed error in the answer to POST /prompt, or None when the whole workflow was accepted.

    A 200 can carry node_errors too: the server then drops the outputs concerned without a word.
    """
    problems = list(_problems(answer.get("node_errors")))
    error = answer.get("error")
    if not problems and not error:
        return None
    missing = [p for p in problems if p.kind == "value_not_in_list" and p.field in MODEL_FOLDERS]
    found = "; ".join(str(p) for p in missing or problems)
    if missing:
        folders = ", ".join(sorted({f"models/{MODEL_FOLDERS[p.field]}" for p in missing}))
        return ModelMissingError(
            f"the server lacks a model file: {found}",
            "every model file that the workflow names",
            f"the operator fetches the file into {folders}",
            problems,
        )
    kind = ""
    if isinstance(error, Mapping):
        kind = str(error.get("type", ""))
        text = f"{error.get('message', '')} {error.get('details', '')}".strip()
        if kind == "missing_node_type":
            extra = error.get("extra_info")
            extra = extra if isinstance(extra, Mapping) else {}
            problems = [
                NodeProblem(str(extra.get("node_id", "?")), str(extra.get("class_type", "")), "", kind, text)
            ]
        found = found or text
    elif error:
        found = found or str(error)
    return ValidationError(
        f"the server refused {'the workflow' if error else 'a part of the workflow'}: {found or kind}",
        "a workflow whose nodes and inputs this server knows",
        "install the node class on the server, or use a workflow of native nodes"
        if kind == "missing_node_type"
        else "correct the node and input that are named",
        problems,
    )


def _problems(node_errors: object) -> list[NodeProblem]:
    found: list[NodeProblem] = []
    for node_id, report in node_errors.items() if isinstance(node_errors, Mapping) else ():
        report = report if isinstance(report, Mapping) else {}
        class_type = str(report.get("class_type", ""))
        for error in report.get("errors") or [{}]:
            extra = error.get("extra_info") or {}
            details = str(error.get("details") or error.get("message") or "")
            found.append(
                NodeProblem(
                    str(node_id),
                    class_type,
                    str(extra.get("input_name", "")),
                    str(error.get("type", "")),
                    printable(details),
                )
            )
    return found


def of_failed_job(event: str, data: Mapping[str, Any]) -> ComfyError:
    """The typed error for an execution_error or execution_interrupted message (socket or history)."""
    node_id, node_type = str(data.get("node_id", "?")), str(data.get("node_type", "?"))
    if event == "execution_interrupted":
        return JobInterruptedError(
            f"the job was interrupted on the server at node {node_id} ({node_type})",
            "a job that runs to its end",
            "run it again if nobody meant to stop it",
        )
    exception_type = str(data.get("exception_type", ""))
    message = printable(str(data.get("exception_message", "")))
    next_step = "read the server's log for the node named"
    kind = ExecutionError
    if node_type == "LoadImage":
        next_step = "check that the image opens in a viewer, then convert it to PNG"
    # torch.OutOfMemoryError, torch.cuda.OutOfMemoryError, or CUDA's own words in a RuntimeError.
    if "OutOfMemory" in exception_type or "out of memory" in message.lower():
        kind = OutOfMemoryError
        next_step = "make the picture smaller or take fewer images; if it stays, the operator frees the card"
    return kind(
        f"node {node_id} ({node_type}) failed: {exception_type}: {message}",
        "every node to run to its end",
        next_step,
        node_id=node_id,
        node_type=node_type,
        exception_type=exception_type,
    )
