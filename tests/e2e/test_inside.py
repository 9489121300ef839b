"""Ansible in the guest itself: what starts WSL afresh ends it, and it goes on by itself once the guest is back."""

from __future__ import annotations

import pytest

from . import inside
from .running import Done
from .site import Lab

BACK = "This run goes on with the one that a fresh start of WSL has ended"


@pytest.fixture(scope="module")
def controller(lab: Lab, deployed: Done) -> Lab:
    """The lab whose guest is the controller too, of a site that another machine has deployed."""
    inside.prepare(lab)
    return lab


def says(done: Done, *words: str) -> None:
    # Ansible breaks long lines of a message.
    said = " ".join(done.output.split())
    missing = [word for word in words if word not in said]
    assert not missing, f"it says nothing of {missing}: {done}"


def test_new_settings_of_wsl_end_the_deployment_which_goes_on_by_itself(controller: Lab) -> None:
    inside.set_windows(controller, wsl_host_memory="8GB", wsl_host_may_restart_wsl=True)
    before = inside.born(controller)
    ended = inside.make(controller, "inside-deploy", "deploy")
    assert ended.code == 2, ended
    says(ended, "found: .wslconfig has new settings: [wsl2] memory", "next step: none, it goes on by itself")
    resumed = inside.resumed(controller, "inside-resumed", before)
    says(resumed, f"{BACK} (.wslconfig has new settings: [wsl2] memory)", "The service is at https://")
    assert "failed=0" in resumed.output, resumed
    again = inside.play(controller, "inside-again").ended_well()
    assert again.changed() == {"guest": 0, "windows": 0}, again
    assert BACK not in again.output
    controller.verify("inside-seen-from-outside", "token_opens or websocket").ended_well()


def test_a_new_driver_ends_its_update_which_goes_on_by_itself(controller: Lab) -> None:
    controller.make("inside-new-driver", "lab-driver-update", VERSION="582.11").ended_well()
    before = inside.born(controller)
    ended = inside.make(controller, "inside-driver", "driver-update")
    assert ended.code == 2, ended
    says(ended, "Driver/library version mismatch", "next step: none, it goes on by itself")
    resumed = inside.resumed(controller, "inside-driver-resumed", before)
    says(resumed, BACK)
    assert "failed=0" in resumed.output, resumed
    again = inside.make(controller, "inside-driver-again", "driver-update").ended_well()
    assert again.changed() == {"guest": 0, "windows": 0}, again
