"""Healthy means that ComfyUI answers with a compute device, not only that a port is open.

Asked on loopback, where no token is needed: authentication stands at the edge.
"""

import json
import sys
import urllib.request

URL = "http://127.0.0.1:8188/system_stats"


def main() -> int:
    """0 when the server answers with at least one device, else 1 with the reason on stdout (Docker keeps it)."""
    try:
        with urllib.request.urlopen(URL, timeout=3) as answer:
            devices = json.load(answer)["devices"]
    except (OSError, ValueError, KeyError) as error:
        print(f"{URL}: {error}")
        return 1
    print(devices[0]["name"] if devices else "no device")
    return 0 if devices else 1


if __name__ == "__main__":
    sys.exit(main())
