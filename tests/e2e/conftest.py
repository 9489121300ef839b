"""One lab for all of these tests: raised and deployed as a user would, and gone at the end, whatever happened."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.names import Names

from .engine_view import ask
from .running import REPORTS, Done
from .site import DEPLOY_SECONDS, LAB_NAME, Lab

HERE = Path(__file__).parent
# The story, in the order in which an operator lives it; a file that is not named here comes before the end.
ORDER = ("test_deploy", "test_bad_input", "test_guards")
END = "test_down"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ours = [item for item in items if item.path.parent == HERE]
    others = [item for item in items if item.path.parent != HERE]
    items[:] = [*others, *sorted(ours, key=_place)]


def _place(item: pytest.Item) -> int:
    stem = item.path.stem
    return ORDER.index(stem) if stem in ORDER else len(ORDER) + (stem == END)


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The lab's handle; nothing stands yet. Afterwards nothing stands any more, or the run fails."""
    shutil.rmtree(REPORTS, ignore_errors=True)
    REPORTS.mkdir(parents=True)
    made = Lab(Names(LAB_NAME))
    with Path(REPORTS.parent / "e2e.lock").open("w") as lock:
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
