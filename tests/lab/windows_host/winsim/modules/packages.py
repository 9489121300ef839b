"""win_get_url and win_package: files from the network, and installers, which are stand-ins here (installers.py)."""

from __future__ import annotations

import hashlib
import logging
import urllib.error
import urllib.request
from pathlib import PureWindowsPath
from typing import Any

from .. import installers
from .contract import Machine, Module, ModuleFailure, NotModelled, Option, Params, Result
from .files import put

log = logging.getLogger("winsim.packages")


def _digest(algorithm: str, content: bytes) -> str:
    return hashlib.new(algorithm, content, usedforsecurity=False).hexdigest()


def win_get_url(machine: Machine, params: Params) -> Result:
    """As in ansible.windows 3.3.0: what is not as its checksum says is never put where it was to go."""
    url, dest, algorithm = params["url"], params["dest"], params["checksum_algorithm"]
    target, wanted = machine.path(dest), (params["checksum"] or "").strip().lower()
    if not url.startswith(("http://", "https://")):
        raise NotModelled(f"win_get_url from {url!r}")
    if target.is_dir():
        raise NotModelled(f"win_get_url into the folder {dest!r}")
    here = _digest(algorithm, target.read_bytes()) if target.is_file() else None
    result: Result = {"changed": False, "dest": dest, "url": url, "elapsed": 0.1}
    if here is not None and not params["force"]:
        if not wanted:
            raise NotModelled("win_get_url that compares the times of files")
        if here == wanted:
            return {**result, "checksum_dest": here}
    if not target.parent.is_dir():
        raise ModuleFailure(
            f"The path '{PureWindowsPath(dest).parent}' does not exist for destination '{dest}', or is not visible to "
            "the current user. Ensure download destination folder exists (perhaps using win_file state=directory) "
            "before win_get_url runs.",
            **result,
        )
    try:
        with urllib.request.urlopen(url, timeout=params["url_timeout"]) as answer:  # noqa: S310 - checked above
            content = answer.read()
    except (urllib.error.URLError, OSError) as error:
        raise ModuleFailure(f"Error downloading '{url}' to '{dest}': {error}", **result) from error
    found = _digest(algorithm, content)
    if wanted and found != wanted:
        message = f"The checksum for {url} did not match '{wanted}', it was '{found}'"
        raise ModuleFailure(message, **result, checksum_src=found)
    if found != here and not machine.check:
        put(target, content)
    return {**result, "changed": found != here, "checksum_src": found, "checksum_dest": found, "msg": "OK"}


def win_package(machine: Machine, params: Params) -> Result:
    """What is installed is told by `creates_path` or else by `product_id`: the real one could read it in the file."""
    created, product_id = params["creates_path"], params["product_id"]
    if not (created or product_id):
        raise NotModelled("win_package with neither product_id nor creates_path")
    if params["path"].startswith("http"):
        raise NotModelled("win_package from an address")
    file = machine.path(params["path"])
    if not file.is_file():
        if machine.check:
            raise NotModelled("win_package in check mode without the file")
        raise ModuleFailure(f"the file at the path '{params['path']}' cannot be reached")
    installed = machine.path(created).exists() if created else product_id.upper() in machine.state.products
    result: Result = {"changed": not installed, "rc": 0, "reboot_required": False}
    if installed or machine.check:
        return result
    document = installers.read(file)
    code = installers.NOT_A_PACKAGE if document is None else _run(machine, document)
    if code not in (0, installers.RESTART):
        command = f'C:\\Windows\\System32\\msiexec.exe /i "{params["path"]}" /qn /norestart'
        raise ModuleFailure(
            f"unexpected rc from '{command}': see rc, stdout, and stderr for more details",
            rc=code,
            stdout="",
            stderr="",
        )
    return {**result, "rc": code, "reboot_required": code == installers.RESTART}


def _run(machine: Machine, document: dict[str, Any]) -> int:
    """Windows Installer runs a stand-in. One that ends with an error has rolled itself back."""
    if document["needs"] and not machine.state.features.get(document["needs"]):
        return installers.FAILED
    code = int(document["code"])
    log.info("the installer of %s ends with %s", document["product"], code)
    if code not in (0, installers.RESTART):
        return code
    for path, text in document["files"].items():
        target = machine.path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        put(target, str(text).encode())
    if document.get("product_id"):
        machine.state.products[document["product_id"].upper()] = document["product"]
    return code


MODULES = {
    "ansible.windows.win_get_url": Module(
        win_get_url,
        {
            "url": Option(required=True),
            "dest": Option("path", required=True),
            "force": Option("bool", True),
            "checksum": Option(),
            "checksum_algorithm": Option(
                default="sha1", choices=("md5", "sha1", "sha256", "sha384", "sha512")
            ),
            "url_timeout": Option("int", 30, aliases=("timeout",)),
        },
        # The machine goes on meanwhile: it waits for another one.
        lasting=True,
    ),
    "ansible.windows.win_package": Module(
        win_package,
        {
            "path": Option(required=True),
            "product_id": Option(),
            "creates_path": Option("path"),
            "state": Option(default="present", choices=("absent", "present"), modelled=("present",)),
            "arguments": Option("raw", modelled=()),
        },
    ),
}
