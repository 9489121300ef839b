"""`python -m comfystack_api`: runs the service until it is told to stop."""

from __future__ import annotations

import logging
import os
import sys

import uvicorn

from .app import build
from .settings import from_environment


def main() -> None:
    """Never returns before the service was told to stop."""
    settings = from_environment(os.environ)
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(name)s %(message)s")
    uvicorn.run(
        build(settings),
        host="0.0.0.0",  # noqa: S104 - inside its container, which publishes no port
        port=settings.port,
        # Its lines would have the query, where old clients put their token; the audit log has what happened.
        access_log=False,
        log_config=None,
        server_header=False,
        # The edge writes who asks into headers of its own.
        proxy_headers=False,
        # Who still waits for pictures is let go, and his jobs are cancelled, before Docker kills the process.
        timeout_graceful_shutdown=4,
    )


if __name__ == "__main__":
    main()
