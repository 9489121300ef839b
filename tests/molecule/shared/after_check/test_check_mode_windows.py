"""A check leaves Windows as it was."""

from __future__ import annotations

from pathlib import Path

from tests.molecule.windows_state import digest


def test_the_check_changed_nothing_on_windows(lab: Path) -> None:
    before = (lab / "windows-before-check").read_text().strip()
    assert digest(lab.name) == before
