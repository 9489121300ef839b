"""What a crash left does not stop the next lab."""

from __future__ import annotations

from .engine_view import ask
from .site import DEPLOY_SECONDS, Lab


def test_leftovers_of_a_crash_do_not_stop_the_next_lab(lab: Lab, container_ids: list[str]) -> None:
    still_running = ask("maim", lab.names.lab)
    assert sorted(still_running) == [lab.names.container("acme"), lab.names.container("registry")]
    (lab.build / "lab.json").unlink()
    lab.make("up-after-crash", "lab-up", seconds=DEPLOY_SECONDS).ended_well()
    status = lab.make("status", "lab-status").ended_well()
    assert status.output.count("running") == 5, status
