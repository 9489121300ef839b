"""The listeners of the simulated machine's web server, and the way of a request through the modules."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from ..machine import REWRITE_DLL
from ..state import Site, Store
from . import (
    arr,
    filtering,
    httpsys,
    replies,
    requestlog,
    responsecache,
    rewrite,
    static,
    tls,
    webconfig,
    worker,
)
from .errors import AbortedError, ConfigError, HttpSysError, IisError, NotModelledError
from .exchange import Exchange, cooked, split_target

_log = logging.getLogger(__name__)

CLIENT_GONE = 64  # ERROR_NETNAME_DELETED, as IIS logs it
PATH_NOT_FOUND = 0x80070003
# http.sys's limits are checked in httpsys; aiohttp must let such requests through to be checked.
_PARSER_LIMIT = 65_536


@dataclass(frozen=True)
class Ports:
    """The ports that were really bound (they differ from what was asked where that was 0)."""

    http: int
    https: int


async def serve(store: Store, http_port: int = 80, https_port: int = 443) -> None:
    """Serve the sites of `store` until cancelled.

    Bindings of port 80 answer on `http_port`, bindings of port 443 on `https_port`.
    """
    async with listening(store, http_port, https_port):
        await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def listening(
    store: Store, http_port: int, https_port: int, address: str | None = None
) -> AsyncIterator[Ports]:
    """The listeners, open while the block runs; `address` None means every interface."""
    loop = asyncio.get_running_loop()
    async with arr.open_session() as session:
        gateway = _Gateway(store, session)
        protocol = web.Server(
            gateway.handle,
            handler_cancellation=True,
            auto_decompress=False,
            max_line_size=_PARSER_LIMIT,
            max_field_size=_PARSER_LIMIT,
            access_log=None,
            keepalive_timeout=120,
        )

        def http() -> asyncio.Protocol:
            registered = httpsys.bindings(store.read(), 80, "http") or store.url_listeners
            return protocol() if registered else _ClosedPort()

        plain = await loop.create_server(http, address, http_port)
        try:
            context = tls.listener_context(store)
            secure = await loop.create_server(protocol, address, https_port, ssl=context)
            try:
                yield Ports(*(s.sockets[0].getsockname()[1] for s in (plain, secure)))
            finally:
                secure.close()
        finally:
            plain.close()
            await protocol.shutdown(timeout=1)


class _ClosedPort(asyncio.Protocol):
    """No started site has a binding here: as near to a refused connection as an open listener can get."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.abort()


class _Gateway:
    def __init__(self, store: Store, session: aiohttp.ClientSession) -> None:
        self._store = store
        self._session = session
        self._cache = responsecache.Cache()
        self._workers = worker.Workers()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            exchange = self._admit(request)
        except HttpSysError as error:
            return await replies.send_httpsys(request, error)
        if isinstance(exchange, web.Response):
            return exchange
        try:
            with self._workers.serving(exchange.state, exchange.site) as work:
                exchange.worker = work.remarks
                async with asyncio.timeout(work.left):
                    return await self._answer(exchange)
        except (AbortedError, TimeoutError):
            # A timeout here is the end of a recycled worker process.
            return _abort(exchange)
        except asyncio.CancelledError:
            exchange.win32 = CLIENT_GONE
            raise
        finally:
            requestlog.write(exchange)

    def _admit(self, request: web.BaseRequest) -> Exchange | web.Response:
        """http.sys: the request is well-formed, and a program other than IIS answers it, or a running site wants it."""
        secure = request.transport is not None and request.transport.get_extra_info("ssl_object") is not None
        port = 443 if secure else 80
        target, named_host = split_target(request.raw_path)
        host = named_host or request.headers.get("Host", "")
        head = len(request.raw_path) + sum(len(k) + len(v) + 4 for k, v in request.raw_headers)
        httpsys.check_request(target, host, head)
        if answer := httpsys.listener(self._store.url_listeners, port, "https" if secure else "http", target):
            text = answer(target.partition("?")[0])
            return web.Response(status=404 if text is None else 200, text=text or "")
        state = self._store.read()
        name, site = httpsys.select(state, port, "https" if secure else "http", host)
        path, query = cooked(target)
        headers = CIMultiDict(request.headers)
        return Exchange(request, self._store, state, name, site, port, secure, target, path, query, headers)

    async def _answer(self, exchange: Exchange) -> web.StreamResponse:
        try:
            return await self._run_modules(exchange)
        except ConfigError as error:
            file = exchange.site.physical_path.rstrip("\\") + r"\web.config"
            detail = f"{error.message}. Config File {file}, line {error.line} (0x{error.hresult:08x})"
            failure = IisError(500, 19, detail, error.hresult & 0xFFFF)
        except NotModelledError as error:
            _log.error("%s: not modelled: %s", exchange.site_name, error)
            failure = IisError(500, 0, f"The simulator does not model {error}")
        except IisError as error:
            failure = error
        if exchange.began:
            # Half an answer is out; only a broken connection tells the client that it is half.
            return _abort(exchange)
        return await replies.send_error(exchange, failure)

    async def _run_modules(self, exchange: Exchange) -> web.StreamResponse:
        exchange.config = load(self._store, exchange.site)
        filtering.check(exchange)
        rewrite.check(exchange)
        outcome = rewrite.apply(exchange)
        if isinstance(outcome, rewrite.Proxied):
            return await arr.forward(exchange, self._session, self._cache, outcome.url)
        if isinstance(outcome, rewrite.Redirect):
            headers = CIMultiDict({"Location": outcome.location, "Content-Type": "text/html; charset=UTF-8"})
            body = replies.page("Document Moved", f"This object may be found at {outcome.location}")
            return await replies.send(exchange, outcome.status, headers, body)
        return await static.serve(exchange)


def load(store: Store, site: Site) -> webconfig.WebConfig:
    """The site's effective configuration; ConfigError where IIS would answer 500.19."""
    root = store.path(site.physical_path)
    if not root.is_dir():
        raise ConfigError(
            1, f"Cannot read configuration file: {site.physical_path} is missing", PATH_NOT_FOUND
        )
    file = store.path(site.physical_path.rstrip("\\") + r"\web.config")
    if not file.is_file():
        return webconfig.WebConfig()
    return webconfig.parse(file.read_bytes(), url_rewrite=store.path(REWRITE_DLL).is_file())


def _abort(exchange: Exchange) -> web.StreamResponse:
    if exchange.request.transport is not None:
        exchange.request.transport.abort()
    return replies.Reply(exchange.status, CIMultiDict())
