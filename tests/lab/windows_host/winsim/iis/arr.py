"""Application Request Routing: the request goes to another server, the answer comes back."""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from ..machine import ARR_DLL
from . import filtering, portproxy, proxysettings, replies, responsecache, tunnel
from .errors import IisError, NotModelledError
from .exchange import Exchange
from .proxysettings import ProxySettings

# Windows gives up on a TCP connection after 21 s.
CONNECT_SECONDS = 21.0
CANNOT_CONNECT = 12029
TIMED_OUT = 12002
CONNECTION_LOST = 12030

_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_URL = re.compile(r"http://(?P<authority>(?P<host>\[[^\]/]+\]|[^:/?]+)(:(?P<port>\d+))?)(?P<target>[/?].*)?")
_SENDABLE = re.compile(r"[\x21-\x7e]*")


@dataclass(frozen=True)
class Backend:
    """Where the request goes: the name in the rule, the address behind it, and the request target."""

    authority: str
    address: str
    port: int
    target: str


def open_session() -> aiohttp.ClientSession:
    """A client that changes nothing on the way: no cookies, no decompression, no pooled connections."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, force_close=True),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        max_line_size=65_536,
        max_field_size=65_536,
    )


async def forward(
    exchange: Exchange, session: aiohttp.ClientSession, cache: responsecache.Cache, url: str
) -> web.StreamResponse:
    """Proxy to `url`, an absolute URL that a rule has made."""
    settings = proxysettings.read(exchange.state)
    if not (exchange.store.path(ARR_DLL).is_file() and settings.enabled):
        # Without ARR's proxy the absolute URL is looked up as a path, for which no handler exists.
        raise IisError(404, 4, "The requested resource has no handler: ARR's proxy is not enabled", 123)
    backend = _backend(exchange, url)
    headers = _request_headers(exchange, settings, backend)
    if tunnel.is_upgrade(exchange) and proxysettings.websocket_enabled(exchange.state):
        try:
            return await tunnel.run(
                exchange, settings, (backend.address, backend.port), backend.target, headers
            )
        except TimeoutError:
            raise _bad_gateway(TIMED_OUT, "The operation timed out") from None
        except OSError as error:
            raise _bad_gateway(CANNOT_CONNECT, str(error)) from None
    kept = cache.find(exchange, backend.target)
    if kept is not None:
        return await replies.again(exchange, kept.headers, kept.body)
    return await _exchange(exchange, session, cache, settings, backend, headers)


def _backend(exchange: Exchange, url: str) -> Backend:
    match = _URL.fullmatch(url)
    if match is None:
        raise NotModelledError(f"a backend address like {url!r}")
    target = match["target"] or "/"
    if not _SENDABLE.fullmatch(target):
        raise NotModelledError(f"a rewritten URL with characters that were never escaped: {target!r}")
    target = target if target.startswith("/") else "/" + target
    try:
        address, port = portproxy.resolve(exchange.state, match["host"], int(match["port"] or 80))
    except ConnectionRefusedError as error:
        raise _bad_gateway(CANNOT_CONNECT, str(error)) from None
    return Backend(match["authority"], address, port, target)


def _bad_gateway(win32: int, reason: str) -> IisError:
    return IisError(502, 3, f"Bad Gateway: {reason} (0x{0x80070000 + win32:08x})", win32)


def _request_headers(exchange: Exchange, settings: ProxySettings, backend: Backend) -> CIMultiDict[str]:
    named = {name.strip().lower() for name in exchange.headers.get("Connection", "").split(",")}
    headers = CIMultiDict(
        (name, value)
        for name, value in exchange.headers.items()
        if name.lower() not in _HOP_BY_HOP | named | {"expect", "host"}
    )
    headers["Host"] = exchange.headers.get("Host", "") if settings.preserve_host_header else backend.authority
    address, port = exchange.remote
    client = f"{address}:{port}" if settings.include_port else address
    # What the client sent stays in front, unless a rule has emptied it.
    before = [value for value in headers.popall(settings.forwarded_for, []) if value]
    headers[settings.forwarded_for] = ", ".join([*before, client])
    headers["X-Original-URL"] = exchange.target
    headers["X-ARR-LOG-ID"] = str(uuid.uuid4())
    headers["Max-Forwards"] = "10"
    return headers


class _Upload:
    """The request body on its way, counted: a chunked body has no length to check beforehand."""

    def __init__(self, exchange: Exchange) -> None:
        self._content = exchange.request.content
        self.limit = filtering.body_limit(exchange)
        self.count = 0

    @property
    def too_large(self) -> bool:
        return self.count > self.limit

    async def chunks(self) -> AsyncIterator[bytes]:
        async for chunk in self._content.iter_any():
            self.count += len(chunk)
            if self.too_large:
                raise filtering.too_large(self.limit, "a chunked body")
            yield chunk


async def _exchange(
    exchange: Exchange,
    session: aiohttp.ClientSession,
    cache: responsecache.Cache,
    settings: ProxySettings,
    backend: Backend,
    headers: CIMultiDict[str],
) -> web.StreamResponse:
    upload = _Upload(exchange)
    await _continue(exchange)
    try:
        async with session.request(
            exchange.request.method,
            URL(f"http://{backend.address}:{backend.port}{backend.target}", encoded=True),
            headers=headers,
            data=upload.chunks() if exchange.request.can_read_body else None,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=CONNECT_SECONDS, sock_read=settings.timeout
            ),
        ) as answer:
            return await _relay(exchange, cache, settings, backend, answer)
    except TimeoutError:
        raise _bad_gateway(TIMED_OUT, "The operation timed out") from None
    except aiohttp.ClientConnectorError as error:
        raise _bad_gateway(CANNOT_CONNECT, str(error)) from None
    except aiohttp.ClientError as error:
        if upload.too_large:
            raise filtering.too_large(upload.limit, "a chunked body") from None
        raise _bad_gateway(CONNECTION_LOST, str(error)) from None


async def _continue(exchange: Exchange) -> None:
    # http.sys asks for the body when a module starts to read it, not before: a refused upload is never sent.
    request = exchange.request
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")


async def _relay(
    exchange: Exchange,
    cache: responsecache.Cache,
    settings: ProxySettings,
    backend: Backend,
    answer: aiohttp.ClientResponse,
) -> web.StreamResponse:
    errors = exchange.config.section("httpErrors")
    if answer.status >= 400 and errors.text("existingResponse") != "PassThrough":
        raise IisError(
            answer.status,
            0,
            f"The backend's own answer was replaced by this page: httpErrors existingResponse is "
            f'"{errors.text("existingResponse")}", not "PassThrough"',
        )
    _outbound(exchange, answer)
    headers = response_headers(exchange, settings, backend.authority, answer.headers)
    reply = replies.Reply(answer.status, CIMultiDict(headers), answer.reason)
    wanted, whole = cache.wants(exchange, answer.status, answer.headers), bytearray()
    if tunnel.is_upgrade(exchange):
        # The client expects another protocol on this connection; it cannot be used for a second request.
        reply.force_close()
    held = bytearray()
    async for chunk in answer.content.iter_any():
        held += chunk
        whole += chunk if wanted else b""
        if len(held) >= settings.min_response_buffer * 1024 or reply.prepared:
            if not reply.prepared:
                await replies.begin(exchange, reply)
            await reply.write(bytes(held))
            held.clear()
    if not reply.prepared:
        await replies.begin(exchange, reply)
    if held:
        await reply.write(bytes(held))
    await reply.write_eof()
    if wanted:
        cache.keep(exchange, backend.target, answer.headers, headers, bytes(whole))
    return reply


def _outbound(exchange: Exchange, answer: aiohttp.ClientResponse) -> None:
    """Outbound rules can read no compressed answer; what they do to others is not acted out."""
    rules = [
        rule for rule in exchange.config.section("rewrite/outboundRules").entries if rule.flag("enabled")
    ]
    if rules and answer.headers.get("Content-Encoding", "identity") != "identity":
        encoding = answer.headers["Content-Encoding"]
        raise IisError(
            500,
            52,
            "URL Rewrite Module Error. Outbound rewrite rules cannot be applied when the content of the HTTP "
            f"response is encoded ('{encoding}')",
        )
    if rules:
        raise NotModelledError(f"what the outbound rule '{rules[0].text('name')}' does to an answer")


def response_headers(
    exchange: Exchange,
    settings: ProxySettings,
    authority: str,
    received: CIMultiDictProxy[str] | CIMultiDict[str],
) -> CIMultiDict[str]:
    """The backend's headers as the client gets them; `authority` is the host:port of the rewrite rule."""
    named = {name.strip().lower() for name in received.get("Connection", "").split(",")}
    headers = CIMultiDict(
        (name, value) for name, value in received.items() if name.lower() not in _HOP_BY_HOP | named
    )
    if settings.reverse_rewrite_host and "Location" in headers:
        scheme = "https" if exchange.secure else "http"
        headers["Location"] = re.sub(
            rf"^http://{re.escape(authority)}(?=[/?]|$)", f"{scheme}://{exchange.host}", headers["Location"]
        )
    if settings.arr_response_header:
        headers.add("X-Powered-By", "ARR/3.0")
    return replies.dressed(exchange, headers)
