"""What IIS, URL Rewrite and ARR would refuse or get wrong in a site of ComfyStack, found before a host is touched.

`refusals` is the entry: one sentence for each finding, with what would happen, and none where all is well.
Sources: the configuration schemas of IIS 10, URL Rewrite 2.1 and ARR 3.0 as Microsoft documents them, and the
failures that docs/gateway.md lists.
"""

from __future__ import annotations

from . import document, server, site
from .server import Plan

__all__ = ["Plan", "refusals"]


def refusals(web_config: str, plan: Plan | None = None, encrypted: bool = True) -> list[str]:
    """Why this web.config must not be written, and, with `plan`, why the server's settings must not be made.

    Without `plan`, nothing is said of what stands in applicationHost.config. `encrypted` says whether the name
    has a certificate by now: before, its file must not send anybody to HTTPS.
    """
    root, found = document.read(web_config)
    if root is None:
        return found
    found += site.refusals(root, plan, encrypted)
    return found + (server.refusals(plan) if plan is not None else [])
