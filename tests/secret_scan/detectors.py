"""What detect-secrets does not know: tokens as this project's people and files write them.

Loaded by the scanner from this file's path, therefore without imports from the repository.
"""

from __future__ import annotations

import re

from detect_secrets.plugins.base import RegexBasedDetector


class ServiceTokenDetector(RegexBasedDetector):
    """A token of the edge where it is presented to it, and where it stands alone, as in the lab's token file."""

    secret_type = "Service Token"  # noqa: S105 - the name of the finding
    denylist = (
        # curl -H "Authorization: Bearer …", X-API-Key: …
        re.compile(r"(?:bearer|x-api-key['\"]?:)\s+['\"]?([A-Za-z0-9_-]{32,})", re.IGNORECASE),
        # https://…/prompt?token=…
        re.compile(r"[?&](?:token|key|api_key)=([A-Za-z0-9_-]{32,})", re.IGNORECASE),
        # `openssl rand -hex 32`, alone on its line or as a line of nginx's map of tokens
        re.compile(r"^\s*\"?([0-9a-f]{64})\"?(?:\s+[\w.\"-]+;)?\s*$"),
    )
