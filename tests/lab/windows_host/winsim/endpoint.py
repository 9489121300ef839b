"""WinRM's listener: HTTPS, NTLM for each connection, and the shells of WinRS behind it."""

from __future__ import annotations

import base64
import binascii
import logging
import os
import ssl
import threading
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import spnego
import spnego.exceptions

from . import wsman
from .commands import Outcome, run_command
from .environment import expand
from .state import Store

log = logging.getLogger("winsim.winrm")


@dataclass
class _Command:
    line: str
    user: str
    stdin: list[bytes] = field(default_factory=list)
    outcome: Outcome | None = None
    done: threading.Event | None = None

    def run(self, store: Store) -> None:
        try:
            self.outcome = run_command(store, self.user, self.line, b"".join(self.stdin))
        finally:
            if self.done:
                self.done.set()


class WinRmServer(ThreadingHTTPServer):
    """One listener; call `serve_forever`. `server_port` is the port really bound (0 asks for a free one)."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], store: Store, certificate: Path, key: Path) -> None:
        self.store = store
        self.commands: dict[str, _Command] = {}
        self.shells: set[str] = set()
        self.lock = threading.Lock()
        super().__init__(address, _Connection)
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
        self._tls.load_cert_chain(certificate, key)

    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        # The handshake happens in the connection's own thread: a silent client must not stop the others.
        return self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that does not trust our certificate hangs up during the handshake: its business, not ours.
        log.info("connection from %s ended", client_address, exc_info=True)


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body leave in two writes; Nagle would keep the second until the client has acknowledged the
    # first, 40 ms later, and one module takes a dozen answers.
    disable_nagle_algorithm = True
    server: WinRmServer
    # NTLM authenticates a connection, not a request: the context lives as long as the socket.
    _context: Any = None
    _user: str | None = None

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self._user is None and not self._authenticate():
            return
        try:
            request = wsman.parse(body)
        except wsman.MalformedRequest as error:
            self._answer(400, wsman.fault(f"malformed WS-Management request: {error}"))
            return
        self._serve(request)

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Type", "application/soap+xml;charset=UTF-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _authenticate(self) -> bool:
        """One step of the NTLM exchange; False when an answer (401) has been sent."""
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if scheme != "NTLM" or not token:
            self._answer(401, WWW_Authenticate="NTLM")
            return False
        try:
            if self._context is None:
                self._context = spnego.server(protocol="ntlm", options=spnego.NegotiateOptions.use_ntlm)
            reply = self._context.step(base64.b64decode(token, validate=True))
        except (spnego.exceptions.SpnegoError, binascii.Error, ValueError) as error:
            log.warning("logon refused: %s", error)
            self._context = None
            self._answer(401, WWW_Authenticate="NTLM")
            return False
        if not self._context.complete:
            self._answer(401, WWW_Authenticate=f"NTLM {base64.b64encode(reply or b'').decode()}")
            return False
        self._user = str(self._context.client_principal).rpartition("\\")[2]
        return True

    def _receive(self, request: wsman.Request, command: _Command) -> None:
        """What the command said; a client that has waited for long is told to ask again, as Windows tells it."""
        with self.server.lock:
            begun, command.done = command.done, command.done or threading.Event()
        if begun is None:
            threading.Thread(target=command.run, args=(self.server.store,), daemon=True).start()
        if not command.done.wait(_RECEIVE_SECONDS):
            words = "The WS-Management service cannot complete the operation within the time specified."
            self._answer(500, wsman.fault(words, request.message_id, _TIMED_OUT))
            return
        done = command.outcome or Outcome(
            1, stderr=b"the model of this command broke; see the simulator's log"
        )
        if done.dropped:
            self.close_connection = True
            return
        self._answer(200, wsman.output(request, done.exit_code, done.stdout, done.stderr))

    def _serve(self, request: wsman.Request) -> None:
        server = self.server
        if request.verb == "Create":
            shell_id = str(uuid.uuid4()).upper()
            # A first logon makes the user's profile.
            server.store.path(expand("%TEMP%", self._user or "")).mkdir(parents=True, exist_ok=True)
            with server.lock:
                server.shells.add(shell_id)
            self._answer(200, wsman.shell_created(request, shell_id))
            return
        if request.shell_id not in server.shells:
            self._answer(500, wsman.fault("the shell was not found on the server", request.message_id))
            return
        if request.verb == "Delete":
            with server.lock:
                server.shells.discard(str(request.shell_id))
            self._answer(200, wsman.acknowledged(request))
            return
        if request.verb == "Command":
            command_id = str(uuid.uuid4()).upper()
            with server.lock:
                server.commands[command_id] = _Command(request.command_line, self._user or "")
            self._answer(200, wsman.command_started(request, command_id))
            return
        command = server.commands.get(request.command_id or "")
        if command is None:
            # Cleaning up twice is harmless on Windows too.
            status = 200 if request.verb == "Signal" else 500
            body = (
                wsman.acknowledged(request)
                if status == 200
                else wsman.fault("the command was not found", request.message_id)
            )
            self._answer(status, body)
        elif request.verb == "Send":
            command.stdin.append(request.stdin)
            self._answer(200, wsman.acknowledged(request))
        elif request.verb == "Receive":
            self._receive(request, command)
        elif request.verb == "Signal":
            with server.lock:
                server.commands.pop(request.command_id or "", None)
            self._answer(200, wsman.acknowledged(request))
        else:
            self._answer(500, wsman.fault(f"action {request.action!r} is not modelled", request.message_id))


_RECEIVE_SECONDS = 15.0
# ERROR_WSMAN_OPERATION_TIMEDOUT: nothing to be read yet, ask again.
_TIMED_OUT = 2150858793


def read_users(users: Path) -> dict[str, str]:
    """The accounts of `users` ("name:password" a line). Raises ValueError naming the line that cannot be read."""
    accounts = {}
    for number, line in enumerate(users.read_text().splitlines(), start=1):
        if not line.strip():
            continue
        name, separator, password = line.partition(":")
        if not separator or not name or not password or ":" in password:
            raise ValueError(
                f"{users}, line {number}: found no 'name:password' (a password without ':'); correct the line"
            )
        accounts[name] = password
    if not accounts:
        raise ValueError(f"{users} names no account: write one 'name:password' line, or nobody can log on")
    return accounts


def install_users(users: Path, work_folder: Path) -> None:
    """Make the accounts of `users` the ones NTLM accepts. Raises ValueError as `read_users` does.

    pyspnego has a format of its own, in a file that NTLM_USER_FILE names.
    """
    target = work_folder / "ntlm-users"
    target.touch(mode=0o600)
    target.write_text("".join(f":{name}:{password}\n" for name, password in read_users(users).items()))
    os.environ["NTLM_USER_FILE"] = str(target)
