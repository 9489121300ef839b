"""Stand-ins for installers: what a file of a few bytes does to the machine when Windows Installer runs it.

The first line is MARK, the rest a JSON document:
    product    its name, for the log
    product_id what Windows lists it under afterwards, in braces, or ""
    files      Windows path -> text that setup leaves there
    needs      a Windows feature without which setup ends with 1603, or ""
    code       what setup ends with otherwise: 0, 3010 where Windows is to restart, or another error's code
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MARK = b"stand-in installer\n"
FAILED = 1603  # ERROR_INSTALL_FAILURE
NOT_A_PACKAGE = 1620  # ERROR_INSTALL_PACKAGE_INVALID
RESTART = 3010  # ERROR_SUCCESS_REBOOT_REQUIRED


def package(
    product: str, files: dict[str, str], needs: str = "", code: int = 0, product_id: str = ""
) -> bytes:
    """The bytes of such a file."""
    document = {"product": product, "product_id": product_id, "files": files, "needs": needs, "code": code}
    return MARK + json.dumps(document, sort_keys=True).encode() + b"\n"


def read(file: Path) -> dict[str, Any] | None:
    """The document in it; None for a file that is no stand-in."""
    content = file.read_bytes()
    if not content.startswith(MARK):
        return None
    found: dict[str, Any] = json.loads(content.removeprefix(MARK))
    return found
