"""Prints how to get into a deployment: public URL, token file and a curl line to paste.

usage: access.py build/<site>/access.json
"""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from urllib.parse import urlsplit


def curl(access: dict[str, object]) -> str:
    """A shell line that asks for /system_stats with the token, which stays out of the argument list."""
    url = str(access["url"])
    host = str(urlsplit(url).hostname)
    words = ["curl", "-sS"]
    if access["ca_file"]:
        words += ["--cacert", str(access["ca_file"])]
    connect_to = access["connect_to"]
    if isinstance(connect_to, dict) and host in connect_to:
        words += ["--connect-to", f"{host}:443:{connect_to[host]}"]
    words += ["-H", "@-", f"{url}/system_stats"]
    token = shlex.quote(str(access["token_file"]))
    return f"sed 's/^/Authorization: Bearer /' {token} | {shlex.join(words)}"


def main(path: Path) -> int:
    """0 when printed; 1 where the deployment has not written its access facts yet."""
    try:
        access = json.loads(path.read_text())
    except FileNotFoundError:
        print(f"found: no {path}\nexpected: a finished deployment\nnext step: make deploy", file=sys.stderr)
        return 1
    print(f"\nThe service is at {access['url']}")
    print(f"Token: {access['token_file']}")
    print(f"Facts for scripts: {path}")
    print(f"\nTry it:\n  {curl(access)}")
    print(
        f"  build/venv/bin/comfystack edit photo.jpg --prompt 'make it winter' --out winter.png --access {path}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
