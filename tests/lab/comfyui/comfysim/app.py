"""From the command line to a running server."""

from __future__ import annotations

import argparse
import asyncio
import logging
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from . import custom_nodes, devices, options
from .folders import Folders, lay_out
from .log import RecentLines, set_up_log
from .node_contract import NodeContract
from .server import build_app, build_state, serve

_log = logging.getLogger(__name__)


def main(tree: Path, comfyui_version: str, torch_version: str, argv: Sequence[str] | None = None) -> None:
    """Runs until interrupted. Without --cpu and without a CUDA device it ends with torch's RuntimeError."""
    chosen = options.parse(argv)
    recent_lines = set_up_log(chosen)
    devices.apply_device_options(chosen)
    folders = lay_out(chosen, tree)
    _announce_folders(chosen.base_directory, folders)
    devices.announce_devices(chosen, torch_version)
    _log.info("Python version: %s", sys.version)
    _log.info("ComfyUI version: %s", comfyui_version)
    shutil.rmtree(folders.temp, ignore_errors=True)
    folders.user.mkdir(parents=True, exist_ok=True)
    contract = NodeContract(folders)
    contract.load_core()
    custom_nodes.load_custom_nodes(contract, chosen)
    folders.temp.mkdir(parents=True, exist_ok=True)
    versions = {"comfyui": comfyui_version, "torch": torch_version}
    try:
        asyncio.run(_run(chosen, folders, contract, recent_lines, versions))
    except KeyboardInterrupt:
        _log.info("\nStopped server")
    finally:
        shutil.rmtree(folders.temp, ignore_errors=True)


async def _run(
    chosen: argparse.Namespace,
    folders: Folders,
    contract: NodeContract,
    recent_lines: RecentLines,
    versions: dict[str, str],
) -> None:
    state = build_state(chosen, folders, contract, recent_lines, sys.argv, asyncio.get_running_loop())
    await serve(build_app(state, versions))


def _announce_folders(base_directory: str | None, folders: Folders) -> None:
    if base_directory:
        _log.info("Setting base directory to: %s", folders.base)
    try:
        folders.input.mkdir(parents=True, exist_ok=True)
    except OSError:
        # The real server goes on without it, and every graph that loads a picture then fails.
        _log.error("Failed to create input directory")
