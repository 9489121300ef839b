"""A driver update without and with something to do, against a full deployment.

On a lab of its own, raised before the clock runs: `make deploy` with its verify on hosts to which nothing was deployed;
then `make driver-update`, once for the note that the first run makes, and timed; then an update that renumbers the
cards, and `make driver-update` through the fresh start of WSL to the answer of the site.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

from tests.lab.names import ROOT

from ..rows import Row

LAB = "bench-driver"
# Of a full deployment.
NO_OP_LIMIT = 0.25
CHANGE_LIMIT = 0.5


def _make(*words: str) -> float:
    """Seconds that `make WORDS` took for the lab; raises CalledProcessError, after what it said, where it failed."""
    begin = time.monotonic()
    done = subprocess.run(
        ["make", *words],
        cwd=ROOT,
        env={**os.environ, "LAB_NAME": LAB},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        print(done.stdout, file=sys.stderr)
        done.check_returncode()
    return time.monotonic() - begin


def rows() -> Iterator[Row]:
    """Two ratios. The lab is gone afterwards."""
    try:
        _make("lab-reset")
        deploy = _make("deploy")
        _make("driver-update")
        quiet = _make("driver-update")
        yield Row(
            "driver update where nothing has changed",
            quiet,
            deploy,
            "s",
            NO_OP_LIMIT,
            ("make driver-update", "make lab-reset && make deploy (the second timed)"),
        )
        _make("lab-driver-update", "RENUMBER=1")
        changed = _make("driver-update")
        yield Row(
            "driver update with renumbered cards",
            changed,
            deploy,
            "s",
            CHANGE_LIMIT,
            (
                "make lab-driver-update RENUMBER=1 && make driver-update (the second timed)",
                "make lab-reset && make deploy (the second timed)",
            ),
        )
    finally:
        _make("lab-down")
