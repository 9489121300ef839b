"""Files of the site itself: what no rule sends elsewhere, an ACME challenge above all."""

from __future__ import annotations

from pathlib import PurePosixPath

from multidict import CIMultiDict

from . import replies
from .errors import IisError
from .exchange import Exchange

_DEFAULT_DOCUMENTS = ("Default.htm", "index.htm", "index.html", "iisstart.htm")
_FORBIDDEN = frozenset('<>:"|?*\\')


async def serve(exchange: Exchange) -> replies.Reply:
    """The file at `exchange.path`; IisError 404.0, 404.3 (no MIME type), 403.14 or 405.0 otherwise."""
    if exchange.request.method not in {"GET", "HEAD"}:
        raise IisError(405, 0, "The static file handler knows GET and HEAD only")
    segments = [segment for segment in exchange.path.split("/") if segment]
    if any(_FORBIDDEN & set(segment) or segment == ".." for segment in segments):
        raise IisError(404, 0, f"{exchange.path} is not a file name", 123)
    path = exchange.store.path("\\".join([exchange.site.physical_path.rstrip("\\"), *segments]))
    if path.is_dir():
        found = [path / name for name in _DEFAULT_DOCUMENTS if (path / name).is_file()]
        if not found:
            raise IisError(403, 14, "The Web server is configured to not list the contents of this directory")
        path = found[0]
    if not path.is_file():
        raise IisError(404, 0, f"{exchange.path} does not exist on this site", 2)
    headers = CIMultiDict({"Content-Type": _mime_type(exchange, path.name)})
    return await replies.send(exchange, 200, headers, path.read_bytes())


def _mime_type(exchange: Exchange, name: str) -> str:
    # IIS calls the extension of a file without one ".".
    extension = PurePosixPath(name).suffix.lower() or "."
    for entry in exchange.config.section("staticContent").entries:
        if entry.text("fileExtension").lower() == extension:
            return entry.text("mimeType")
    raise IisError(404, 3, f"No MIME type is configured for the extension '{extension}'", 50)
