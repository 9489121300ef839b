"""Requests as the gate reads them: the edge's question about one, or one that came here itself."""

from __future__ import annotations

from fastapi import Request

from .gate import Question

# Set by the edge on every request, so that a client's own are never read.
METHOD = "x-original-method"
URI = "x-original-uri"
PEER = "x-peer-address"
# Below these the edge leads here what cannot be decided by its head; the log tells of the path as it was sent.
LED_HERE = ("/_jobs", "/_uploads", "/_views")


def address_of(request: Request) -> str:
    """Who asks. IIS writes the visitor's address and nothing of what he sent; without IIS the edge's peer is it."""
    forwarded = request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
    peer = request.headers.get(PEER) or (request.client.host if request.client else "")
    return forwarded or peer


def question_of(request: Request) -> Question:
    """A request to a route of this service."""
    query = request.scope["query_string"].decode("latin-1")
    path = request.scope.get("raw_path", b"").decode("latin-1") or request.url.path
    for folder in LED_HERE:
        path = path.removeprefix(folder)
    uri = f"{path}?{query}" if query else path
    return Question(request.method, uri, _headers(request), address_of(request))


def asked_by_the_edge(request: Request) -> Question:
    """The request that the edge asks about."""
    headers = request.headers
    return Question(headers.get(METHOD, ""), headers.get(URI, ""), _headers(request), address_of(request))


def _headers(request: Request) -> dict[str, str]:
    # Of a header that is there twice the first one counts, wherever it is read.
    found: dict[str, str] = {}
    for name, value in request.headers.items():
        found.setdefault(name, value)
    return found
