"""Request Filtering: what IIS refuses before any rule runs, with the sub-status of each reason."""

from __future__ import annotations

from pathlib import PurePosixPath
from urllib.parse import unquote

from .errors import IisError
from .exchange import Exchange
from .webconfig import Node


def check(exchange: Exchange) -> None:
    """Raise IisError 404.5 … 404.18 where Request Filtering would."""
    section = exchange.config.section("security/requestFiltering")
    raw_path = exchange.target.partition("?")[0]
    _check_limits(exchange, section.children["requestLimits"], raw_path)
    _check_escapes(section, raw_path)
    _check_names(exchange, section)


def body_limit(exchange: Exchange) -> int:
    """maxAllowedContentLength, in bytes."""
    section = exchange.config.section("security/requestFiltering")
    return section.children["requestLimits"].number("maxAllowedContentLength")


def too_large(limit: int, found: str) -> IisError:
    return IisError(404, 13, f"Content length too large: {found}, maxAllowedContentLength is {limit} bytes")


def _check_limits(exchange: Exchange, limits: Node, raw_path: str) -> None:
    length = exchange.request.content_length
    if length is not None and length > limits.number("maxAllowedContentLength"):
        raise too_large(limits.number("maxAllowedContentLength"), f"{length} bytes")
    if len(raw_path) > limits.number("maxUrl"):
        raise IisError(404, 14, f"URL too long: {len(raw_path)} bytes, maxUrl is {limits.number('maxUrl')}")
    if len(exchange.query) > limits.number("maxQueryString"):
        raise IisError(
            404,
            15,
            f"Query string too long: {len(exchange.query)} bytes, "
            f"maxQueryString is {limits.number('maxQueryString')}",
        )
    for entry in limits.children["headerLimits"].entries:
        value = exchange.headers.get(entry.text("header"), "")
        if len(value) > entry.number("sizeLimit"):
            raise IisError(404, 10, f"Request header too long: {entry.text('header')}")


def _check_escapes(section: Node, raw_path: str) -> None:
    once = unquote(raw_path)
    # A plus sign counts as an escape too: IIS decodes it to a space in the second pass.
    if not section.flag("allowDoubleEscaping") and ("+" in raw_path or unquote(once) != once):
        raise IisError(404, 11, "URL double escaped: set allowDoubleEscaping or send another URL")
    if not section.flag("allowHighBitCharacters") and not once.isascii():
        raise IisError(404, 12, "URL has high bit characters")


def _check_names(exchange: Exchange, section: Node) -> None:
    path = exchange.path.lower()
    for entry in section.children["denyUrlSequences"].entries:
        if entry.text("sequence").lower() in path:
            raise IisError(404, 5, f"URL sequence denied: {entry.text('sequence')}")
    for entry in section.children["denyQueryStringSequences"].entries:
        if entry.text("sequence").lower() in unquote(exchange.query).lower():
            raise IisError(404, 18, f"Query string sequence denied: {entry.text('sequence')}")
    verbs = section.children["verbs"]
    if not _allowed(verbs, "verb", exchange.request.method):
        raise IisError(404, 6, f"Verb denied: {exchange.request.method}")
    extension = PurePosixPath(path).suffix
    if not _allowed(section.children["fileExtensions"], "fileExtension", extension):
        raise IisError(404, 7, f"File extension denied: {extension}")
    hidden = {entry.text("segment").lower() for entry in section.children["hiddenSegments"].entries}
    for segment in path.split("/"):
        if segment in hidden:
            raise IisError(404, 8, f"Hidden namespace: segment '{segment}'")


def _allowed(element: Node, key: str, value: str) -> bool:
    for entry in element.entries:
        if entry.text(key).lower() == value.lower():
            return entry.flag("allowed")
    return element.flag("allowUnlisted") or not value
