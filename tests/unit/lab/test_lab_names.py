"""Several labs stand on one machine without meeting."""

from __future__ import annotations

import pytest

from tests.lab.console import LabError
from tests.lab.names import ROOT, Names, from_environment


def test_without_a_name_the_lab_is_called_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAB_NAME", raising=False)
    assert from_environment() == Names("lab")
    monkeypatch.setenv("LAB_NAME", "")
    assert from_environment() == Names("lab")


@pytest.mark.parametrize("name", ["a", "lab2", "test-0123abcd", "a" * 30])
def test_a_name_that_docker_can_carry_is_taken(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("LAB_NAME", name)
    assert from_environment().lab == name


@pytest.mark.parametrize("name", ["Lab", "2lab", "-lab", "my lab", "lab/x", "../lab", "lab_1", "a" * 31, "é"])
def test_another_name_is_refused_with_the_rule_and_an_example(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("LAB_NAME", name)
    with pytest.raises(LabError) as refused:
        from_environment()
    message = str(refused.value)
    assert f"found: LAB_NAME={name!r}" in message
    assert "expected: a lower-case letter" in message
    assert "next step: " in message


def test_two_labs_share_no_name() -> None:
    one, other = Names("one"), Names("other")
    assert one.network != other.network
    assert one.container("mirror") != other.container("mirror")
    assert one.volume("state") != other.volume("state")
    assert one.image("mirror") != other.image("mirror")
    assert one.labels != other.labels
    assert one.build != other.build


def test_everything_generated_stands_under_build() -> None:
    assert Names("lab").build == ROOT / "build" / "lab"
