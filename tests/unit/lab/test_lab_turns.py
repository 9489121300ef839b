"""Labs that rise at once: one after the other builds its images and takes its ports."""

from __future__ import annotations

import threading

from tests.lab.turns import alone


def test_the_second_waits_for_the_first() -> None:
    order: list[str] = []

    def second() -> None:
        with alone():
            order.append("second")

    thread = threading.Thread(target=second)
    with alone():
        thread.start()
        thread.join(timeout=0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
