"""The runner of the tests itself: what fails is counted, wherever it runs, and nothing is left out."""

from __future__ import annotations

import sys

import pytest

from tests import run


def says(name: str, code: str) -> tuple[run.Step, ...]:
    return (run.Step(name, (sys.executable, "-c", code)),)


@pytest.fixture
def two_lanes(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = {"good": says("good", "print('well')"), "bad": says("bad", "raise SystemExit('ill')")}
    monkeypatch.setattr(run, "STEPS", steps)
    monkeypatch.setattr(run, "LANES", (("good",), ("bad",)))


def test_every_step_has_its_lane() -> None:
    assert sorted(step for lane in run.LANES for step in lane) == sorted(run.STEPS)


def test_a_step_that_fails_in_either_lane_fails_the_run(
    two_lanes: None, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run.main([]) == 1
    lines = capfd.readouterr().out.splitlines()
    assert lines[-1] == "1 passed, 1 failed"
    # The lanes' lines come as they come: each says whose it is.
    assert {"good         | well", "bad          | ill"} <= set(lines)


def test_a_step_can_be_run_by_name(two_lanes: None, capfd: pytest.CaptureFixture[str]) -> None:
    assert run.main(["good"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert "well" in lines
    assert lines[-1] == "1 passed, 0 failed"


def test_a_step_that_is_none_is_named(two_lanes: None, capfd: pytest.CaptureFixture[str]) -> None:
    assert run.main(["better"]) == 2
    assert "found: better\nexpected: good, bad" in capfd.readouterr().err


def test_a_test_run_that_collects_nothing_has_failed(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    step = run.Step(
        "nothing", ("pytest", "-q", "-k", "no test has this name", "tests/unit/habits"), counts=True
    )
    monkeypatch.setattr(run, "STEPS", {"nothing": (step,)})
    monkeypatch.setattr(run, "LANES", (("nothing",),))
    assert run.main([]) == 1
    assert capfd.readouterr().out.splitlines()[-1] == "0 passed, 1 failed"
