"""Names of the scenarios' labs: one per scenario and checkout, the same in every run.

So a run finds and removes what a killed one left, and two checkouts on one machine do not meet.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def lab_name(scenario: str) -> str:
    """LAB_NAME of the lab in which `scenario` runs."""
    checkout = hashlib.sha256(str(ROOT).encode()).hexdigest()[:6]
    return f"mol-{checkout}-{scenario.replace('_', '-')}"


def scenarios() -> list[str]:
    """Every scenario's name: the folders beside this file that have a molecule.yml."""
    return sorted(file.parent.name for file in HERE.glob("*/molecule.yml"))
