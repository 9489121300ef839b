"""The lab takes its usual ports where they are free, others where not, and only the one that was insisted on."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.lab import ports
from tests.lab.console import LabError


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for service in ports.PREFERRED:
        monkeypatch.delenv(f"LAB_{service.upper()}_PORT", raising=False)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which something listens."""
    with socket.socket() as holder:
        holder.bind((ports.ADDRESS, 0))
        holder.listen()
        yield int(holder.getsockname()[1])


def test_a_listener_makes_a_port_taken(taken: int) -> None:
    assert not ports.is_free(taken)


def test_the_usual_port_is_taken_where_it_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as probe:
        probe.bind((ports.ADDRESS, 0))
        usual = int(probe.getsockname()[1])
    monkeypatch.setattr(ports, "PREFERRED", {"https": usual})
    assert ports.choose({"https"}) == {"https": usual}


def test_another_port_is_found_where_the_usual_one_is_held(
    monkeypatch: pytest.MonkeyPatch, taken: int
) -> None:
    monkeypatch.setattr(ports, "PREFERRED", {"https": taken})
    chosen = ports.choose({"https"})["https"]
    assert chosen != taken
    assert ports.is_free(chosen)


def test_a_port_that_is_insisted_on_and_held_is_an_error_that_names_it(
    monkeypatch: pytest.MonkeyPatch, taken: int
) -> None:
    monkeypatch.setenv("LAB_WINRM_PORT", str(taken))
    with pytest.raises(
        LabError, match=rf"port {taken} on 127.0.0.1 is already taken \(LAB_WINRM_PORT\)"
    ) as no:
        ports.choose(set(ports.MACHINE))
    assert f"ss -ltnp 'sport = :{taken}'" in str(no.value)


@pytest.mark.parametrize("value", ["abc", "0", "65536", "-1", "80 ", "8.0", "²"])
def test_what_is_no_port_number_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("LAB_SSH_PORT", value)
    with pytest.raises(LabError, match=r"expected: a port number, 1 to 65535"):
        ports.choose(set(ports.MACHINE))


def test_every_port_belongs_to_a_machine() -> None:
    assert set(ports.MACHINE) == set(ports.PREFERRED)
