"""nvidia-container-runtime: edits the bundle of a container that asks for cards, then becomes runc."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import NoReturn

from .driver import ToolkitError, find_driver
from .oci import with_cards
from .version import VERSION

RUNTIMES = ("runc", "crun")


def option(arguments: list[str], *names: str) -> str | None:
    """Value of `--name value` or `--name=value`, as runc's command line writes them."""
    for position, word in enumerate(arguments):
        name, equals, value = word.partition("=")
        if name in names:
            if equals:
                return value
            return arguments[position + 1] if position + 1 < len(arguments) else None
    return None


def creates(arguments: list[str]) -> bool:
    """True for `create`: the one call that the engine makes with a bundle to be edited."""
    takes_value = ("--root", "--log", "--log-format", "--rootless", "--criu")
    words = iter(arguments)
    for word in words:
        if not word.startswith("-"):
            return word in ("create", "run")
        if word in takes_value:
            next(words, None)
    return False


def edit_bundle(bundle: Path, root: Path = Path("/")) -> None:
    """Rewrites bundle/config.json where its container asks for cards."""
    file = bundle / "config.json"
    try:
        spec = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ToolkitError(f"error loading OCI specification: {error}") from error
    edited = with_cards(spec, lambda: find_driver(root))
    if edited != spec:
        fresh = file.with_suffix(".json.nvidia")
        fresh.write_text(json.dumps(edited), encoding="utf-8")
        fresh.replace(file)


def report(arguments: list[str], message: str) -> None:
    """Says `message` where the engine looks for the reason of a failed create: the JSON log, and stderr."""
    log = option(arguments, "--log")
    if log:
        line = {"level": "error", "msg": message, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        with Path(log).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
    print(message, file=sys.stderr)


def become(program: str, arguments: list[str]) -> NoReturn:
    os.execv(program, [program, *arguments])  # noqa: S606 - a runtime wrapper ends as the runtime


def main(arguments: list[str]) -> int:
    runtime = next((path for name in RUNTIMES if (path := shutil.which(name))), None)
    if runtime is None:
        report(arguments, "error constructing low-level runtime: no runtime found in PATH: runc, crun")
        return 1
    if arguments == ["--version"]:
        print(f"NVIDIA Container Runtime version {VERSION}", flush=True)
    if creates(arguments):
        try:
            edit_bundle(Path(option(arguments, "--bundle", "-b") or "."))
        except ToolkitError as error:
            report(
                arguments,
                "failed to create NVIDIA Container Runtime: failed to construct OCI spec modifier: "
                f"failed to construct CDI modifier: {error}",
            )
            return 1
    become(runtime, arguments)
