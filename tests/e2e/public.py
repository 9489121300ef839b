"""One exchange with the deployed site through its public name, as any program could have it."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tests.lab.names import PUBLIC_NAME

from .site import Lab

SECONDS = 60


@dataclass(frozen=True)
class Answer:
    """Status, headers with lower-case names, and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def kind(self) -> str:
        """The type of an error that the service tells in JSON; "" for any other body."""
        try:
            error = json.loads(self.body)["error"]
        except (ValueError, KeyError, TypeError):
            return ""
        return str(error.get("type", "")) if isinstance(error, dict) else ""


def ask(
    lab: Lab,
    method: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    body: bytes | Iterable[bytes] | None = None,
) -> Answer:
    """The answer to one request; the path goes out exactly as it is given. A body in parts is not announced."""
    access = lab.access
    address, _, port = access["connect_to"][PUBLIC_NAME].rpartition(":")
    context = ssl.create_default_context(cafile=access["ca_file"])
    with (
        socket.create_connection((address, int(port)), timeout=SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=PUBLIC_NAME) as stream,
    ):
        connection = http.client.HTTPConnection(PUBLIC_NAME)
        connection.sock = stream
        # Refused before the body was through; the answer says why.
        with suppress(BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
            connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, found, answer.read())


def form(**fields: str | tuple[str, bytes]) -> tuple[dict[str, str], bytes]:
    """Headers and body of a form; (NAME, BYTES) is a file, whose name is written as it stands."""
    boundary = uuid.uuid4().hex
    body = b""
    for name, value in fields.items():
        head = f'Content-Disposition: form-data; name="{name}"'
        if isinstance(value, tuple):
            head += f'; filename="{value[0]}"\r\nContent-Type: application/octet-stream'
        content = value[1] if isinstance(value, tuple) else value.encode()
        body += f"--{boundary}\r\n{head}\r\n\r\n".encode() + content + b"\r\n"
    body += f"--{boundary}--\r\n".encode()
    return {"Content-Type": f"multipart/form-data; boundary={boundary}"}, body


def say(document: Any) -> bytes:
    """A JSON body."""
    return json.dumps(document).encode()
