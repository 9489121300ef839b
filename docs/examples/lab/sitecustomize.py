"""Leads any Python program to the lab: its public name stands in no DNS, and no system trusts its authority.

Python runs this by itself at its start: PYTHONPATH=docs/examples/lab COMFYSTACK_ACCESS=build/lab/access.json.
"""

import json
import os
import socket
from pathlib import Path

_ask = socket.getaddrinfo
_access = Path(os.environ["COMFYSTACK_ACCESS"])
_facts = json.loads(_access.read_text())
os.environ["SSL_CERT_FILE"] = str(_access.parent / _facts["ca_file"])


def _led(host, port, *more, **named):
    place = _facts["connect_to"].get(host) if port == 443 else None
    if place is not None:
        host, _, port = place.rpartition(":")
    return _ask(host, port, *more, **named)


socket.getaddrinfo = _led
