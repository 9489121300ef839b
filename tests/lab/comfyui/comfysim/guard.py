"""The checks that stand in front of every route: foreign origins, CORS, caching, compression."""

from __future__ import annotations

import ipaddress
import logging
import socket
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Middleware = Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]

_log = logging.getLogger(__name__)

_PICTURES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


def is_loopback(host: str | None) -> bool:
    """Whether every address that the host name stands for is this machine's own."""
    if not host:
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return all(ipaddress.ip_address(address[0]).is_loopback for *_, address in found)


def forbids(headers: dict[str, str]) -> bool:
    """Whether a request comes from another site's page.

    A loopback Host with a foreign Origin is refused (a proxy must keep the public Host); a browser's own word
    that the request is cross-site is always enough. `headers` has lowercase names.
    """
    if headers.get("sec-fetch-site") == "cross-site":
        return True
    if "host" not in headers or "origin" not in headers:
        return False
    host = urlsplit("//" + headers["host"].lower())
    origin = urlsplit(headers["origin"].lower())
    # Ports are compared only when both sides give one.
    host_name = host.netloc if origin.port is not None else host.hostname
    origin_name = origin.netloc if host.port is not None else origin.hostname
    if not host_name or not origin_name or host_name == origin_name or not is_loopback(host.hostname):
        return False
    _log.warning("request with non matching host and origin %s != %s, returning 403", host_name, origin_name)
    return True


@web.middleware
async def refuse_foreign_origins(request: web.Request, handler: Handler) -> web.StreamResponse:
    if forbids({name.lower(): value for name, value in request.headers.items()}):
        return web.Response(status=403)
    if request.method == "OPTIONS":
        return web.Response()
    return await handler(request)


@web.middleware
async def set_cache_headers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Scripts and styles are never kept, pictures addressed by path for a day; all else is left to the route."""
    response = await handler(request)
    path = request.path.lower()
    if path.endswith((".js", ".css")):
        response.headers.setdefault("Cache-Control", "no-store")
    elif path.endswith(_PICTURES):
        if response.status == 404:
            response.headers.setdefault("Cache-Control", "public, max-age=3600")
        elif response.status in (200, 206):
            response.headers.setdefault("Cache-Control", "public, max-age=86400")
    return response


@web.middleware
async def compress_text(request: web.Request, handler: Handler) -> web.StreamResponse:
    response = await handler(request)
    accepts = "gzip" in request.headers.get("Accept-Encoding", "")
    is_text = response.content_type in ("application/json", "text/plain")
    if accepts and is_text and isinstance(response, web.Response) and response.body:
        response.enable_compression()
    return response


def allow_origin(allowed: str) -> Middleware:
    """--enable-cors-header: answers preflights and replaces the origin check."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = web.Response() if request.method == "OPTIONS" else await handler(request)
        response.headers["Access-Control-Allow-Origin"] = allowed
        response.headers["Access-Control-Allow-Methods"] = "POST, GET, DELETE, PUT, OPTIONS, PATCH"
        response.headers["Access-Control-Allow-Headers"] = "Content-Type, Authorization"
        response.headers["Access-Control-Allow-Credentials"] = "true"
        return response

    return middleware
