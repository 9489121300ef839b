"""A server of model files on the loopback address: ranges, a limit per connection, and every way to disappoint.

Of the unit tests, and by itself, `python -m tests.model_source FOLDER [BYTES_PER_SECOND]`, of `make bench`.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_CHUNK = 1 << 18


@dataclass
class Source:
    """What it serves and how. A path below `folder` is taken from the address; what stands before is ignored."""

    folder: Path
    ranges: bool = True
    rate: float | None = None  # bytes per second of one connection
    # Given to the next requests, one each, before the file is: status and headers.
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    always: tuple[int, dict[str, str]] | None = None
    token: str | None = None  # asked for where set
    cut: int | None = None  # the connection ends after so many bytes of a body, once
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    sent: int = 0
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)
    moving: threading.Event = field(default_factory=threading.Event)

    def header(self, name: str) -> list[str | None]:
        """What the requests had of one header."""
        return [headers.get(name) for _, headers in self.asked]


def _handler(source: Source) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/sent":
                return self._plain(200, {}, str(source.sent).encode())
            with source.lock:
                source.asked.append((self.path, dict(self.headers.items())))
                answer = source.answers.pop(0) if source.answers else source.always
            if answer:
                return self._plain(*answer, b"no")
            if source.token and self.headers.get("Authorization") != f"Bearer {source.token}":
                return self._plain(401, {}, b"who?")
            file = source.folder / self.path.partition("?")[0].rpartition("/")[2]
            if not file.is_file():
                return self._plain(404, {}, b"nothing")
            return self._file(file)

        def _plain(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def _file(self, file: Path) -> None:
            size = file.stat().st_size
            match = (
                re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")) if source.ranges else None
            )
            first = int(match[1]) if match else 0
            last = int(match[2]) if match and match[2] else size - 1
            self.send_response(206 if match else 200)
            self.send_header("Content-Length", str(last - first + 1))
            if match:
                self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
            self.end_headers()
            self._send(file, first, last + 1)

        def _send(self, file: Path, offset: int, end: int) -> None:
            begin, start = time.monotonic(), offset
            cut = None if source.cut is None or end - offset < 2 else offset + source.cut
            if cut is not None:
                source.cut = None
            with file.open("rb") as stream:
                while offset < end:
                    if cut is not None and offset >= cut:
                        self.close_connection = True
                        return
                    try:
                        room = min(_CHUNK, end - offset, (cut or end) - offset)
                        count = os.sendfile(self.connection.fileno(), stream.fileno(), offset, room)
                    except OSError:
                        return
                    offset += count
                    with source.lock:
                        source.sent += count
                    if source.sent > 1:
                        source.moving.set()
                    if source.rate:
                        ahead = (offset - start) / source.rate - (time.monotonic() - begin)
                        time.sleep(max(0.0, ahead))

        def log_message(self, *_: object) -> None:
            return

    return Handler


@contextmanager
def serving(source: Source, port: int = 0) -> Iterator[Source]:
    """Serves until left; the address stands in `source.url`."""
    server = ThreadingHTTPServer(("127.0.0.1", port), _handler(source))
    server.daemon_threads = True
    source.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield source
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    limit = float(sys.argv[2]) if len(sys.argv) > 2 else None
    with serving(Source(Path(sys.argv[1]), rate=limit)) as served:
        print(served.url, flush=True)
        sys.stdin.read()
