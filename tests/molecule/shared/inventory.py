#!/usr/bin/env python3
"""The lab's inventory for the scenario that runs. Before its lab is raised, and after, it has no hosts.

Adds to it `lab_name` (the scenario's LAB_NAME) and `lab_checkout` (the repository's folder).
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

from inventories.lab.lab import inventory  # noqa: E402 - a script has no package to import it from
from tests.molecule.names import lab_name  # noqa: E402


def main() -> None:
    name = lab_name(os.environ["MOLECULE_SCENARIO_NAME"])
    document = (
        inventory(name) if (ROOT / "build" / name / "lab.json").exists() else {"_meta": {"hostvars": {}}}
    )
    variables = document.setdefault("all", {}).setdefault("vars", {})
    variables.update(lab_name=name, lab_checkout=str(ROOT))
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
