"""Answers to the client, with the headers that IIS itself adds and the pages of its errors."""

from __future__ import annotations

import html
from http import HTTPStatus

from aiohttp import web
from multidict import CIMultiDict

from .errors import HttpSysError, IisError, NotModelledError
from .exchange import Exchange
from .webconfig import Node

# The simulator's own: why it answered with an error. No IIS sends it.
REASON = "X-Simulator-Reason"
# The same: what its worker process should not have done (see worker.py).
WORKER = "X-Simulator-Worker"
NO_CONFIGURATION = 19


class Reply(web.StreamResponse):
    """A response with exactly the headers it was given: no Server or Content-Type of aiohttp's own."""

    def __init__(self, status: int, headers: CIMultiDict[str], reason: str | None = None) -> None:
        super().__init__(status=status, reason=reason, headers=headers)
        self._given = {name.lower() for name in headers}

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        for name in {"server", "content-type"} - self._given:
            self.headers.popall(name, None)


async def send(exchange: Exchange, status: int, headers: CIMultiDict[str], body: bytes = b"") -> Reply:
    """A complete answer of IIS."""
    headers["Content-Length"] = str(len(body))
    reply = Reply(status, dressed(exchange, headers))
    await begin(exchange, reply)
    await _finish(exchange.request, reply, body)
    return reply


async def again(exchange: Exchange, headers: CIMultiDict[str], body: bytes) -> Reply:
    """An answer that was given before, headers and all."""
    reply = Reply(200, CIMultiDict(headers))
    await begin(exchange, reply)
    await _finish(exchange.request, reply, body)
    return reply


async def begin(exchange: Exchange, reply: Reply) -> None:
    """Send the status line and the headers: from here on no other answer is possible."""
    exchange.status, exchange.began = reply.status, True
    await reply.prepare(exchange.request)


async def send_error(exchange: Exchange, error: IisError) -> Reply:
    """The answer to a request that failed here, as IIS's module for custom errors makes it.

    A page that the site names is sent. With existingResponse="PassThrough" the module leaves alone what there is,
    and for an error of IIS or ARR itself that is nothing. Otherwise a real IIS shows the reason to browsers on
    the machine itself and a bare page to all others; here everybody sees it, because whoever meets it is looking
    for the mistake. For the same reason every such answer has a header that IIS does not know.
    """
    exchange.substatus, exchange.win32 = error.substatus, error.win32
    title = f"HTTP Error {error.status}.{error.substatus} - {phrase(error.status)}"
    headers = CIMultiDict({"Content-Type": "text/html; charset=utf-8", "Cache-Control": "private"})
    headers[REASON] = f"{error.status}.{error.substatus} {error.detail}".replace("\n", " ")
    body = page(title, error.detail)
    errors = exchange.config.section("httpErrors")
    # A web.config that cannot be read sets nothing.
    if error.substatus == NO_CONFIGURATION:
        pass
    elif errors.text("existingResponse") == "PassThrough":
        body = b""
        del headers["Content-Type"]
    elif (own := _own_page(exchange, errors, error)) is not None:
        body, headers["Content-Type"] = own, "text/html"
    return await send(exchange, error.status, headers, body)


def _own_page(exchange: Exchange, errors: Node, error: IisError) -> bytes | None:
    """The site's own file for an error; None where IIS's pages are meant."""
    named = {
        (entry.number("statusCode"), entry.number("subStatusCode")): entry
        for entry in errors.entries
        if not entry.text("prefixLanguageFilePath")
    }
    entry = named.get((error.status, error.substatus)) or named.get((error.status, -1))
    if entry is None:
        return None
    if entry.text("responseMode") != "File":
        raise NotModelledError(f'httpErrors with responseMode="{entry.text("responseMode")}"')
    root = exchange.site.physical_path.rstrip("\\")
    file = exchange.store.path(f"{root}\\{entry.text('path')}")
    # A page that is not there is IIS's fourth kind of error: one line.
    return file.read_bytes() if file.is_file() else f"{phrase(error.status)}\n".encode()


async def send_httpsys(request: web.BaseRequest, error: HttpSysError) -> Reply:
    """The kernel's own page: no site, no module and no log of a site is involved."""
    body = page(error.title, f"HTTP Error {error.status}. {error.detail}")
    headers = CIMultiDict(
        {
            "Content-Type": "text/html; charset=us-ascii",
            "Server": "Microsoft-HTTPAPI/2.0",
            "Content-Length": str(len(body)),
        }
    )
    reply = Reply(error.status, headers)
    reply.force_close()
    await reply.prepare(request)
    await _finish(request, reply, body)
    return reply


def dressed(exchange: Exchange, headers: CIMultiDict[str]) -> CIMultiDict[str]:
    """`headers` with IIS's own: Server unless it is hidden, custom headers, HSTS."""
    headers.popall("Server", None)
    if exchange.worker:
        headers[WORKER] = exchange.worker
    if not exchange.config.section("security/requestFiltering").flag("removeServerHeader"):
        headers["Server"] = "Microsoft-IIS/10.0"
    for entry in exchange.config.section("httpProtocol").children["customHeaders"].entries:
        headers.add(entry.text("name"), entry.text("value"))
    hsts = {
        name.removeprefix("hsts."): value
        for name, value in exchange.site.attributes.items()
        if name.startswith("hsts.")
    }
    if exchange.secure and str(hsts.get("enabled", False)).lower() == "true":
        value = f"max-age={hsts.get('max-age', 0)}"
        if str(hsts.get("includeSubDomains", False)).lower() == "true":
            value += "; includeSubDomains"
        headers["Strict-Transport-Security"] = value
    return headers


def phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Error"


def page(title: str, text: str) -> bytes:
    title, text = html.escape(title), html.escape(text)
    return f"<!DOCTYPE html>\n<title>{title}</title>\n<h2>{title}</h2>\n<hr>\n<p>{text}</p>\n".encode()


async def _finish(request: web.BaseRequest, reply: Reply, body: bytes) -> None:
    if request.method != "HEAD":
        await reply.write(body)
    await reply.write_eof()
