"""What stands can be taken down without a trace."""

from __future__ import annotations

from .cgroups import cgroups_of
from .engine_view import ask
from .site import Lab


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
