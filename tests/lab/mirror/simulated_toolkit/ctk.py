"""nvidia-ctk: the sub-commands that deployments use. Anything else is an error that names it."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import NoReturn

from . import cdi
from .driver import ToolkitError, find_driver
from .version import VERSION

NOT_MODELLED = 64


class _Strict(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        print(f"The lab's nvidia-ctk does not model this call: {message}", file=sys.stderr)
        raise SystemExit(NOT_MODELLED)


def log(message: str) -> None:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    print(f'time="{now}" level=info msg="{message}"', file=sys.stderr)


def configure(path: Path, as_default: bool, cdi_enabled: bool) -> None:
    """Adds the nvidia runtime to a daemon.json, leaving every other key as it is."""
    document = {}
    if path.exists() and path.read_text(encoding="utf-8").strip():
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ToolkitError(f"unable to load config for runtime docker: {path}: {error}") from error
        log(f"Loading config from {path}")
    else:
        log("Config file does not exist; using empty config")
    document.setdefault("runtimes", {})["nvidia"] = {"args": [], "path": "nvidia-container-runtime"}
    if as_default:
        document["default-runtime"] = "nvidia"
    if cdi_enabled:
        document.setdefault("features", {})["cdi"] = True
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=4) + "\n", encoding="utf-8")
    log(f"Wrote updated config to {path}")
    log("It is recommended that docker daemon be restarted.")


def generate(output: Path | None) -> None:
    text = cdi.render(cdi.specification(find_driver()))
    if output is None:
        print(text, end="")
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text, encoding="utf-8")
    log(f"Generated CDI spec with version 0.5.0 as {output}")


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = _Strict(prog="nvidia-ctk", allow_abbrev=False)
    parser.add_argument("-v", "--version", action="store_true")
    top = parser.add_subparsers(dest="command")
    runtime = top.add_parser("runtime", allow_abbrev=False).add_subparsers(dest="action", required=True)
    configuring = runtime.add_parser("configure", allow_abbrev=False)
    configuring.add_argument("--runtime", choices=["docker"], required=True)
    configuring.add_argument("--config", type=Path, default=Path("/etc/docker/daemon.json"))
    configuring.add_argument("--set-as-default", "--nvidia-set-as-default", action="store_true")
    configuring.add_argument("--cdi.enabled", "--enable-cdi", dest="cdi_enabled", action="store_true")
    spec = top.add_parser("cdi", allow_abbrev=False).add_subparsers(dest="action", required=True)
    generating = spec.add_parser("generate", allow_abbrev=False)
    generating.add_argument("--output", type=Path)
    spec.add_parser("list", allow_abbrev=False)
    options = parser.parse_args(arguments)
    if options.command is None and not options.version:
        parser.error("no command")
    return options


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    try:
        if options.version:
            print(f"NVIDIA Container Toolkit CLI version {VERSION}\ncommit: simulated")
        elif options.action == "configure":
            configure(options.config, options.set_as_default, options.cdi_enabled)
        elif options.action == "generate":
            generate(options.output)
        else:
            found = cdi.names()
            log(f"Found {len(found)} CDI devices")
            print("\n".join(found))
    except (ToolkitError, OSError, ValueError) as error:
        print(f'level=error msg="{error}"', file=sys.stderr)
        return 1
    return 0
