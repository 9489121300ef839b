"""Every scenario has a lab of its own, and the runner refuses what it does not know."""

from __future__ import annotations

import pytest

from tests.lab.names import from_environment
from tests.molecule import run
from tests.molecule.names import lab_name, scenarios


def test_each_scenario_has_a_lab_name_that_the_lab_accepts(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [lab_name(scenario) for scenario in scenarios()]
    assert len(set(names)) == len(names) > 0
    for name in names:
        monkeypatch.setenv("LAB_NAME", name)
        assert from_environment().lab == name


def test_ports_chosen_for_another_lab_do_not_reach_a_scenario(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_HTTPS_PORT", "8443")
    assert not [name for name in run.environment("native") if name.startswith("LAB_")]


def test_an_unknown_scenario_is_named_and_nothing_is_started(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "molecule", lambda *_: pytest.fail("molecule was started"))
    assert run.main(["nativ"]) == 2
    said = capsys.readouterr().err
    assert "found: nativ" in said
    assert "expected: " + ", ".join(scenarios()) in said


def test_the_labs_go_when_a_scenario_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[tuple[str, str]] = []

    def molecule(action: str, scenario: str, *_: str) -> bool:
        done.append((action, scenario))
        return action == "destroy"

    monkeypatch.setattr(run, "molecule", molecule)
    assert run.main(["native", "services"]) == 1
    # Both were tried, and both labs were taken down after that.
    assert done[-2:] == [("destroy", "native"), ("destroy", "services")]
    assert [scenario for action, scenario in done if action == "test"] == ["native", "services"]


def test_the_labs_go_when_the_run_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def molecule(action: str, scenario: str, *_: str) -> bool:
        if action == "test":
            raise KeyboardInterrupt
        done.append(scenario)
        return True

    monkeypatch.setattr(run, "molecule", molecule)
    assert run.main(["native"]) == 130
    assert done == ["native", "native"]
