"""How bytes reach the service: one aiohttp session for HTTP and WebSocket, and failures turned into types."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from . import failures
from .errors import InputError, TlsError, UnexpectedAnswerError

# One HTTP exchange, uploads included. A job's own time limit is not this one.
EXCHANGE_SECONDS = 120.0
CONNECT_SECONDS = 15.0
# A proxy without WebSocket support may swallow the handshake; the job is then followed by looking.
HANDSHAKE_SECONDS = 10.0
# Proxies drop silent WebSockets (IIS after 120 s); the ping also notices a peer that vanished.
HEARTBEAT_SECONDS = 30.0
# How long a job's socket is kept for the next one: less than a heartbeat, which nobody would answer meanwhile.
SPARE_SECONDS = 20.0
# Previews and text outputs arrive as single messages; aiohttp's 4 MiB would close the socket on them.
MESSAGE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Reply:
    """A complete HTTP answer."""

    status: int
    body: bytes
    path: str

    def json(self) -> Any:
        try:
            return json.loads(self.body)
        except ValueError:
            raise UnexpectedAnswerError(
                f"{self.path} answered {self.status} with something that is not JSON: "
                f"{self.body[:80].decode(errors='replace')!r}",
                "a ComfyUI behind this URL",
                "check that the URL is the service's own and not a portal or an error page",
                status=self.status,
            ) from None

    def mapping(self) -> dict[str, Any]:
        """The JSON object that nearly every route answers with."""
        value = self.json()
        if not isinstance(value, dict):
            raise UnexpectedAnswerError(
                f"{self.path} answered a JSON {type(value).__name__}",
                "a JSON object",
                "check that the URL is the service's own",
                status=self.status,
            )
        return value


def parse_url(url: str) -> URL:
    """The service's base URL without a trailing slash."""
    try:
        parsed = URL(url.strip().rstrip("/"))
    except ValueError:
        parsed = URL()
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise InputError(
            f"the URL {url!r} has no scheme and host",
            "https://HOST[:PORT]",
            "correct --url or COMFYSTACK_URL",
        )
    if parsed.user or parsed.password or parsed.query_string or parsed.fragment:
        raise InputError(
            f"the URL for {parsed.host} carries a user, a query or a fragment",
            "only scheme, host, port and path",
            "put the token into a file and name it with --token-file",
        )
    return parsed


def parse_connect_to(text: str) -> tuple[str, int]:
    """HOST:PORT or [IPV6]:PORT."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536:
        raise InputError(
            f"connect-to is {text!r}", "HOST:PORT, for example 127.0.0.1:8443", "correct --connect-to"
        )
    return host, int(port)


class _Elsewhere(AbstractResolver):
    """Sends the TCP connection to another address; URL, Host, SNI and certificate check keep the name."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._lookup = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return await self._lookup.resolve(self._host, self._port, family)

    async def close(self) -> None:
        await self._lookup.close()


def _tls_context(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise InputError(
            f"the CA file {ca_file} cannot be used: {error.strerror or error}",
            "a readable file of PEM certificates",
            "correct --ca-file, COMFYSTACK_CA_FILE or the access file",
        ) from None


@dataclass(frozen=True)
class _Spare:
    """A socket between two jobs; `until` is a time of the event loop."""

    client_id: str
    socket: aiohttp.ClientWebSocketResponse
    until: float


class Transport:
    """Authenticated exchanges with one service. Belongs to the event loop that first uses it."""

    def __init__(
        self,
        url: str,
        token: str | None = None,
        ca_file: Path | None = None,
        connect_to: str | None = None,
    ) -> None:
        self.base = parse_url(url)
        self.has_token = bool(token)
        self._elsewhere = None if connect_to is None else parse_connect_to(connect_to)
        if self._elsewhere and self.base.host and (":" in self.base.host or _is_ipv4(self.base.host)):
            # aiohttp asks no resolver about an address, so the redirection would be lost in silence.
            raise InputError(
                f"connect-to is given for {self.base}, which is already an address",
                "a host name in the URL when connect-to is used",
                "put the address into the URL, or the public name into the URL",
            )
        self._tls: ssl.SSLContext | bool = _tls_context(ca_file) if self.base.scheme == "https" else True
        if token and (not token.isascii() or not token.isprintable() or " " in token):
            raise InputError(
                "the token has spaces or characters outside ASCII",
                "one line of printable characters",
                "write the token file again",
            )
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._session: aiohttp.ClientSession | None = None
        self._spare: _Spare | None = None
        self._closing: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"Transport({str(self.base)!r})"

    @property
    def peer(self) -> str:
        """The service as messages name it."""
        via = f" through {self._elsewhere[0]}:{self._elsewhere[1]}" if self._elsewhere else ""
        return f"{self.base}{via}"

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            resolver = _Elsewhere(*self._elsewhere) if self._elsewhere else None
            connector = aiohttp.TCPConnector(ssl=self._tls, resolver=resolver, use_dns_cache=resolver is None)
            self._session = aiohttp.ClientSession(
                connector=connector,
                # A farm in front marks its server with a cookie, also where the URL is an address.
                cookie_jar=aiohttp.CookieJar(unsafe=True),
                headers=self._headers,
                timeout=aiohttp.ClientTimeout(total=EXCHANGE_SECONDS, sock_connect=CONNECT_SECONDS),
            )
        return self._session

    async def close(self) -> None:
        if self._spare is not None:
            await _closed(self._spare.socket)
        if self._session is not None:
            await self._session.close()

    def spare_socket(self) -> tuple[str, aiohttp.ClientWebSocketResponse] | None:
        """The client id and the open socket that an earlier job left, once: a handshake less for the next one."""
        spare, self._spare = self._spare, None
        if spare is None or spare.socket.closed:
            return None
        if asyncio.get_running_loop().time() > spare.until:
            self._let_go(spare.socket)
            return None
        return spare.client_id, spare.socket

    def keep_socket(self, client_id: str, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Leaves a socket for the next job, in place of the one that was left before."""
        if self._spare is not None:
            self._let_go(self._spare.socket)
        self._spare = _Spare(client_id, socket, asyncio.get_running_loop().time() + SPARE_SECONDS)

    def _let_go(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Closes a socket without waiting for the other side, which may be gone."""
        task = asyncio.create_task(_closed(socket))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def exchange(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
        data: aiohttp.FormData | None = None,
        accept: tuple[int, ...] = (200,),
    ) -> Reply:
        """One request, answered with one of the statuses in `accept`; anything else is a typed error."""
        try:
            async with self._open().request(
                method,
                URL(str(self.base) + path),
                params=params,
                json=body,
                data=data,
                # A redirected POST becomes a GET, and the token must not travel to another host.
                allow_redirects=False,
            ) as response:
                reply = Reply(response.status, await response.read(), path)
                headers = response.headers
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise failures.of_connection(error, self.peer) from error
        if reply.status in accept:
            return reply
        raise failures.of_status(reply.status, reply.body, headers, path, self.peer, self.has_token)

    async def websocket(self, path: str, params: Mapping[str, str]) -> aiohttp.ClientWebSocketResponse | None:
        """The open socket, or None when it cannot be had; reasons that HTTP would meet too are raised."""
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                return await self._open().ws_connect(
                    URL(str(self.base) + path).with_query(dict(params)),
                    heartbeat=HEARTBEAT_SECONDS,
                    max_msg_size=MESSAGE_BYTES,
                    timeout=aiohttp.ClientWSTimeout(ws_close=2.0),
                )
        except aiohttp.WSServerHandshakeError as error:
            if error.status == 401:
                raise failures.of_status(401, b"", {}, path, self.peer, self.has_token) from error
            return None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            reason = failures.of_connection(error, self.peer)
            if isinstance(reason, TlsError):
                raise reason from error
            return None


async def _closed(socket: aiohttp.ClientWebSocketResponse) -> None:
    with suppress(aiohttp.ClientError, OSError):
        await socket.close()


def _is_ipv4(host: str) -> bool:
    try:
        socket.inet_aton(host)
    except OSError:
        return False
    return True


async def pause(seconds: float) -> None:
    """The wait between two looks; a function of its own so that tests can do without waiting."""
    await asyncio.sleep(seconds)
