"""Healthy means that the service answers. Whether ComfyUI does is its own container's business."""

import http.client
import os
import sys


def main() -> int:
    """0 when it answers, else 1 with the reason on stdout (Docker keeps it)."""
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("API_PORT", "8190")), timeout=3)
    try:
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        print(error)
        return 1
    print(status)
    return 0 if status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
