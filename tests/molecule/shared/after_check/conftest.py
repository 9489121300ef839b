"""Windows is looked at where the scenario has one."""

import os

from tests.molecule.names import ROOT, lab_name

_LAB = lab_name(os.environ["MOLECULE_SCENARIO_NAME"])
collect_ignore = (
    [] if (ROOT / "build" / _LAB / "windows-before-check").exists() else ["test_check_mode_windows.py"]
)
