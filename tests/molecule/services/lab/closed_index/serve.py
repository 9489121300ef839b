"""`python3 serve.py FOLDER PORT`: the index, on the guest. Standard library only: it runs there as a file.

FOLDER has `password` (user:password), `server.pem` (certificate and key) and `www`. What is asked for goes to stderr,
and with it, while the build that asks goes on, which programs of this machine were told the password as an argument.
"""

import base64
import ssl
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FOLDER = Path(sys.argv[1])
SIGN_IN = (FOLDER / "password").read_bytes().strip()
PASSWORD = SIGN_IN.partition(b":")[2]
EXPECTED = "Basic " + base64.b64encode(SIGN_IN).decode()
# How the build is told that there is a secret, without the secret: by this the looking is seen to work.
TOLD_OF_IT = b"id=pip"


def told(words: bytes) -> str:
    """Programs of this machine that have `words` among their arguments."""
    found = set()
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = process.read_bytes()
        except OSError:
            continue  # It has ended meanwhile.
        if words in arguments:
            found.add(Path(arguments.split(b"\0")[0].decode()).name)
    return " ".join(sorted(found)) or "nobody"


class Index(SimpleHTTPRequestHandler):
    """Files and listings for who has the password; a listing is what pip takes for a page of the simple API."""

    def do_GET(self) -> None:
        if self.headers["Authorization"] != EXPECTED:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="packages"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.log_message("told the password: %s; told of it: %s", told(PASSWORD), told(TOLD_OF_IT))
        super().do_GET()


def main() -> None:
    server = ThreadingHTTPServer(("", int(sys.argv[2])), partial(Index, directory=str(FOLDER / "www")))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(FOLDER / "server.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
