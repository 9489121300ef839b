"""What holds for every test."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """Gives Ctrl-C back its meaning: a shell that starts a run in the background has it ignored.

    Whoever is started here would inherit that, and tests that interrupt a program would wait for ever.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
