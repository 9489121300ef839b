"""Going down and coming up: what a boot of the simulated machine loses, keeps and begins.

Each start of the simulator is a boot. A reboot replaces the process by itself: every connection drops.
"""

from __future__ import annotations

import logging
import time

from . import wsl
from .modules.features import complete
from .state import Store

log = logging.getLogger("winsim.power")

_FILETIME_EPOCH = 116_444_736_000_000_000  # 1970 in steps of 100 ns since 1601


def boot(store: Store) -> None:
    """Bring the machine up: services by their start mode, features that waited, and no guest of WSL.

    The very first boot finds its owner at work: what runs then was started by hand, in a window that stays open.
    """
    store.booted = time.time_ns() // 100 + _FILETIME_EPOCH
    with store.edit() as state:
        state.boots += 1
        if state.boots == 1:
            store.held |= {n for n, entry in state.wsl_distributions.items() if entry["state"] == "Running"}
            return
        for entry in state.wsl_distributions.values():
            entry["state"] = "Stopped"
        for name, service in state.services.items():
            starts = service["start_mode"] in ("auto", "delayed") and not service.get("fault")
            service["state"] = "started" if starts else "stopped"
            if service.get("fault"):
                log.error("the service %s did not start: %s", name, service["fault"])
        complete(state)


def live(store: Store) -> None:
    """What the machine does by itself, once in each tick of its scheduler."""
    wsl.end_idle(store, time.time())
