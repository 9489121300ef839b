"""Asks a site through its public name, over HTTP and over a WebSocket, with its token.

usage: probe.py build/<site>/access.json
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from urllib.parse import urlsplit

from comfystack.errors import ComfyError
from comfystack.transport import Transport

SECONDS = 20


async def problem(access: Path) -> str:
    """Why the site does not answer as it should, or ""."""
    document = json.loads(access.read_text(encoding="utf-8"))
    host = str(urlsplit(document["url"]).hostname)
    transport = Transport(
        document["url"],
        Path(document["token_file"]).read_text(encoding="utf-8").strip(),
        Path(document["ca_file"]) if document["ca_file"] else None,
        document["connect_to"].get(host),
    )
    try:
        await transport.exchange("GET", "/system_stats")
        socket = await transport.websocket("/ws", {"clientId": "driver-update"})
        if socket is None:
            return f"found: {transport.peer} answers, but opens no WebSocket\nexpected: one\nnext step: make verify"
        message = await socket.receive(timeout=SECONDS)
        await socket.close()
        kind = json.loads(message.data)["type"] if isinstance(message.data, str) else message.type
        return "" if kind == "status" else f"found: {kind} first\nexpected: status\nnext step: make verify"
    except (ComfyError, TimeoutError) as error:
        return str(error)
    finally:
        await transport.close()


def main() -> int:
    """0: the site answers."""
    wrong = asyncio.run(problem(Path(sys.argv[1])))
    print(wrong or "the site answers, over HTTP and over a WebSocket")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
