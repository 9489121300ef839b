"""What stands can be brought back after a crash, and taken down without a trace."""

from __future__ import annotations

from pathlib import Path

import pytest

from .engine_view import ask
from .running import Done
from .site import DEPLOY_SECONDS, Lab

CGROUPS = Path("/sys/fs/cgroup")


@pytest.fixture(scope="module")
def container_ids(lab: Lab, deployed: Done) -> list[str]:
    """Full ids of the lab's containers and of those that its guest's own engine runs, while all of them run."""
    inner = lab.guest("inner-containers", "docker ps -q --no-trunc").split()
    assert len(inner) == 2, inner
    outer = ask("owned", lab.names.lab)["containers"].values()
    assert cgroups_of(inner), "an engine without cgroups? Then looking for them later proves nothing"
    return [*outer, *inner]


def cgroups_of(containers: list[str]) -> list[str]:
    return [str(path) for path in CGROUPS.rglob("*") if any(name in path.name for name in containers)]


def test_leftovers_of_a_crash_do_not_stop_the_next_lab(lab: Lab, container_ids: list[str]) -> None:
    still_running = ask("maim", lab.names.lab)
    assert still_running == [lab.names.container("registry")]
    (lab.build / "lab.json").unlink()
    lab.make("up-after-crash", "lab-up", seconds=DEPLOY_SECONDS).ended_well()
    status = lab.make("status", "lab-status").ended_well()
    assert status.output.count("running") == 4, status


def test_taking_the_lab_down_leaves_nothing_of_it(lab: Lab, container_ids: list[str]) -> None:
    container_ids += ask("owned", lab.names.lab)["containers"].values()
    down = lab.make("down", "lab-down").ended_well()
    left = ask("owned", lab.names.lab)
    assert not any(left.values()), left
    assert not lab.build.exists()
    assert not cgroups_of(container_ids)
    assert ask("answers") is True, "the engine stays: other work may use it by now"
    assert "Docker Engine stays" in down.output


def test_taking_it_down_twice_is_fine(lab: Lab) -> None:
    lab.make("down-again", "lab-down").ended_well()
