"""Custom node packs: a folder below custom_nodes/ with a simulated_nodes.json.

As in the real program a pack that cannot be imported is reported in the log and otherwise ignored: the server
starts, and the pack's classes are simply not there.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import time
import traceback
from pathlib import Path

from .node_contract import NodeContract

PACK_FILE = "simulated_nodes.json"

_log = logging.getLogger(__name__)


def load_custom_nodes(contract: NodeContract, options: argparse.Namespace) -> None:
    """Loads every pack. A missing custom_nodes folder ends the start, as it does for the real program."""
    if options.disable_all_custom_nodes and not options.whitelist_custom_nodes:
        return
    timings: list[tuple[float, str, bool]] = []
    for root in contract.folders.by_type["custom_nodes"].paths:
        for folder in root.iterdir():
            name = folder.name
            if name in ("__pycache__", ".git") or name.endswith(".disabled"):
                continue
            if folder.is_file() and folder.suffix != ".py":
                continue
            if options.disable_all_custom_nodes and name not in options.whitelist_custom_nodes:
                _log.info("Skipping %s due to disable_all_custom_nodes and whitelist_custom_nodes", name)
                continue
            started = time.perf_counter()
            loaded = _load(contract, folder)
            timings.append((time.perf_counter() - started, str(folder), loaded))
    if timings:
        _log.info("\nImport times for custom nodes:")
        for seconds, path, loaded in sorted(timings):
            _log.info("%6.1f seconds%s: %s", seconds, "" if loaded else " (IMPORT FAILED)", path)
        _log.info("")


def _load(contract: NodeContract, folder: Path) -> bool:
    try:
        file = folder / PACK_FILE
        if not file.is_file():
            raise ImportError(f"simulator: custom node {folder.name} is not modelled: it has no {PACK_FILE}")
        data = json.loads(file.read_text(encoding="utf-8"))
        for module in data.get("imports", []):
            if importlib.util.find_spec(module) is None:
                raise ModuleNotFoundError(f"No module named '{module}'", name=module)
        for info in data["classes"].values():
            info["python_module"] = f"custom_nodes.{folder.name}"
        contract.load_pack(data)
    except Exception as error:  # the real loader swallows whatever a pack raises, and so must this one
        _log.warning(traceback.format_exc())
        _log.warning("Cannot import %s module for custom nodes: %s", folder, error)
        return False
    return True
