"""What the operator is told before a lab is begun, and about one that does not stand."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import docker
import pytest

from tests.lab import site
from tests.lab.console import LabError
from tests.lab.names import Names


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for the engine went too far."""

    def fail() -> None:
        raise AssertionError("the engine was asked for before the input was looked at")

    monkeypatch.setattr("tests.lab.engine.ensure", fail)


@pytest.mark.usefixtures("no_engine")
def test_a_card_inventory_that_cannot_be_used_is_told_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cards = tmp_path / "cards.yml"
    cards.write_text("cards: none\n")
    monkeypatch.setenv("LAB_CARDS", str(cards))
    with pytest.raises(LabError) as refused:
        site.up(Names("unit"), set())
    assert "found: a card inventory that cannot be used" in str(refused.value)
    assert str(cards) in str(refused.value)
    assert "LAB_CARDS" in str(refused.value)


@pytest.mark.usefixtures("no_engine")
def test_a_disk_without_room_is_told_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1024**3))
    with pytest.raises(LabError, match=r"found: 1\.0 GiB free(.|\n)*expected: at least 6 GiB"):
        site.up(Names("unit"), set())


def test_a_lab_that_is_not_raised_has_a_status_and_a_next_step(capsys: pytest.CaptureFixture[str]) -> None:
    assert site.status(Names("not-raised")) == 1
    assert "not raised; `make lab-up` raises it" in capsys.readouterr().out


def test_taking_down_a_lab_where_no_engine_is_ends_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tests.lab.engine.connect", lambda: None)
    site.down(Names("not-raised"))
    assert "no Docker Engine answers, so there is no lab in it" in capsys.readouterr().out


def test_a_machine_that_could_not_start_gets_another_port_and_those_that_stand_keep_theirs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = Names("unit")
    monkeypatch.setattr(Names, "build", tmp_path)
    (tmp_path / "lab.json").write_text(
        json.dumps({"ports": {"https": 1, "http": 2, "winrm": 3, "ssh": 4, "registry": 5}})
    )
    standing = SimpleNamespace(name=names.container("registry"))
    monkeypatch.setattr(site, "_owned", lambda client, names: {"containers": [standing]})
    chosen = site._ports(docker.DockerClient, names)  # type: ignore[arg-type]
    assert chosen["registry"] == 5
    assert not {1, 2, 3, 4} & set(chosen.values())
