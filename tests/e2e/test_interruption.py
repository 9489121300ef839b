"""A deployment that is killed, wherever it is, is simply run again; and two never work on one site at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import pytest

from . import killing
from .running import Done, bare_environment
from .site import DEPLOY_SECONDS, Lab
from .states import leftovers

TASKS = 10


@pytest.fixture(scope="module")
def interrupted(fresh: Lab) -> list[Done]:
    """A fresh site, deployed to again and again, each time killed a little later."""
    return [killing.kill(fresh, number, place) for number, place in enumerate(killing.walk(TASKS), 1)]


@pytest.fixture(scope="module")
def converged(fresh: Lab, interrupted: list[Done]) -> Done:
    """The deployment after all those that were killed."""
    return fresh.make("after-kills", "deploy", seconds=DEPLOY_SECONDS)


def test_each_was_killed_where_it_was_meant_to_be(interrupted: list[Done]) -> None:
    """At the beginning of every role, and at the chosen tasks: each says so as the last thing it ever says."""
    at = [done.output.rpartition("killed at: ")[2].partition("\n")[0] for done in interrupted]
    for place, name in zip(killing.walk(TASKS), at, strict=True):
        assert name == place.at or name.startswith(f"{place.at} : "), place


def test_the_next_one_converges_and_verify_is_green(converged: Done) -> None:
    converged.ended_well()
    assert " passed in " in converged.output


def test_nothing_is_left_of_those_that_were_killed(fresh: Lab, converged: Done) -> None:
    assert leftovers(fresh, "after-kills") == []


def test_after_that_there_is_nothing_left_to_change(fresh: Lab, converged: Done) -> None:
    again = fresh.make("after-kills-again", "deploy").ended_well()
    assert again.changed() == {"gpu-host": 0, "windows-host": 0}, again


def test_the_second_of_two_is_told_who_is_at_work_and_does_nothing(lab: Lab, deployed: Done) -> None:
    first = subprocess.Popen(
        ["make", "deploy"],
        env=bare_environment(LAB_NAME=lab.names.lab),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        assert first.stdout is not None
        # By then it has the lock, and has long to go.
        for line in first.stdout:
            if line.startswith("PLAY ["):
                break
        second = lab.make("second-of-two", "deploy")
        holder = json.loads((lab.build / "deploy.lock").read_text())
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()
    assert second.code != 0, second
    for words in (
        f"process {holder['pid']}, since {holder['since']}",
        "expected: one at a time",
        "next step: ",
    ):
        assert words in second.output, second
    assert "PLAY [" not in second.output


def test_a_checkout_that_was_cut_short_is_made_anew(lab: Lab, deployed: Done) -> None:
    """The host itself was switched off: no git cleaned up behind itself. And the deployment that the test before
    killed is in nobody's way.
    """
    context = "/opt/comfystack/comfyui-image"
    lab.guest(
        "half-checkout",
        f"cd {context}/ComfyUI; rm main.py; touch .git/index.lock; : >.git/config\n"
        f"cd {context}/custom_nodes; set -- *; rm -r $1/.git/objects $1/.git/HEAD $1/[!.]*",
    )
    lab.make("half-checkout-repaired", "deploy").ended_well()
    assert leftovers(lab, "half-checkout") == []
    lab.guest(
        "whole-checkout",
        f"for tree in {context}/ComfyUI {context}/custom_nodes/*; do"
        ' git -c safe.directory="*" -C $tree diff --quiet HEAD; done; test -e '
        f"{context}/ComfyUI/main.py",
    )
