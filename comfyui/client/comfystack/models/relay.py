"""Where a file needs a token: a door on the loopback address that adds it, and lets no redirect through.

aria2 sends a header on to whatever host it is redirected to. So the token never reaches aria2; it stays in this
process. The door's path is drawn, and told to aria2 alone: other users of the machine cannot come in.
"""

from __future__ import annotations

import secrets
import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .origin import opener

_PASSED = ("Content-Length", "Content-Range", "Accept-Ranges", "ETag", "Last-Modified", "Retry-After")
_SECONDS = 60


@contextmanager
def relay(url: str, token: str, ca_file: str | None) -> Iterator[str]:
    """Yields the door's address; it answers as `url` does to somebody who has the token."""
    opens = opener(ca_file)
    path = f"/{secrets.token_urlsafe(24)}"

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != path:
                self.send_error(404)
                return
            headers = {"Authorization": f"Bearer {token}", "User-Agent": "comfystack"}
            if "Range" in self.headers:
                headers["Range"] = self.headers["Range"]
            try:
                request = urllib.request.Request(url, headers=headers)  # noqa: S310 - http(s), as the lock's reader saw to
                with opens.open(request, timeout=_SECONDS) as answer:
                    self.send_response(answer.status)
                    for name in _PASSED:
                        if name in answer.headers:
                            self.send_header(name, answer.headers[name])
                    self.end_headers()
                    shutil.copyfileobj(answer, self.wfile, 1 << 18)
            except urllib.error.HTTPError as error:
                # A redirect would lead aria2 away from here: it is an error, and the address is looked up anew.
                self.send_error(error.code if error.code >= 400 else 502)
            except OSError:
                # One of the two sides went away: aria2 sees a short answer, and asks again.
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Says nothing: its lines would hold the drawn path."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{path}"
    finally:
        with suppress(OSError):
            server.shutdown()
        server.server_close()
