"""One lab for all of these tests: raised and deployed as a user would, and gone at the end, whatever happened."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.names import Names

from .cgroups import cgroups_of
from .engine_view import ask
from .running import REPORTS, Done
from .site import DEPLOY_SECONDS, LAB_NAME, Lab

HERE = Path(__file__).parent
# The story, in the order in which an operator lives it; a file that is not named here comes between.
ORDER = ("test_deploy", "test_reboot", "test_bad_input", "test_guards", "test_going_back")
# After everything else, because a crash costs the site what was deployed to it.
LAST = ("test_upgrade", "test_drift", "test_crash", "test_check", "test_interruption", "test_down")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ours = [item for item in items if item.path.parent == HERE]
    others = [item for item in items if item.path.parent != HERE]
    items[:] = [*others, *sorted(ours, key=_place)]


def _place(item: pytest.Item) -> int:
    stem = item.path.stem
    if stem in LAST:
        return len(ORDER) + 1 + LAST.index(stem)
    return ORDER.index(stem) if stem in ORDER else len(ORDER)


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The lab's handle; nothing stands yet. Afterwards nothing stands any more, or the run fails."""
    shutil.rmtree(REPORTS, ignore_errors=True)
    REPORTS.mkdir(parents=True)
    made = Lab(Names(LAB_NAME))
    with REPORTS.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pytest.exit(
                f"found: another run of these tests in this checkout, which owns the lab {LAB_NAME}\n"
                "expected: one at a time\nnext step: wait for it, or test in another checkout",
                returncode=2,
            )
        made.make("leftovers-removed", "lab-down").ended_well()
        try:
            yield made
        finally:
            made.make("end", "lab-down").ended_well()
            left = ask("owned", LAB_NAME)
            assert not any(left.values()), f"the lab left something behind: {left}"
            assert not made.build.exists()


@pytest.fixture(scope="session")
def deployed(lab: Lab) -> Done:
    """The first `make deploy` in this lab."""
    return lab.make("deploy", "deploy", seconds=DEPLOY_SECONDS).ended_well()


@pytest.fixture(scope="session")
def fresh(lab: Lab) -> Lab:
    """A lab to which nothing was deployed yet: as it stands after a crash, or raised anew."""
    if not (lab.build / "lab.json").exists() or "none" not in lab.guest(
        "is-fresh", "command -v docker || echo none"
    ):
        lab.make("fresh", "lab-reset", seconds=DEPLOY_SECONDS).ended_well()
    return lab


@pytest.fixture(scope="session")
def container_ids(lab: Lab, deployed: Done) -> list[str]:
    """Full ids of the lab's containers and of those that its guest's own engine runs, while all of them run."""
    inner = lab.guest("inner-containers", "docker ps -q --no-trunc").split()
    assert len(inner) == 3, inner
    outer = ask("owned", lab.names.lab)["containers"].values()
    assert cgroups_of(inner), "an engine without cgroups? Then looking for them later proves nothing"
    return [*outer, *inner]
