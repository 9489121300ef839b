"""PowerShell is parsed, restrained and modelled before it is shipped."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from tests.lab.windows_host.winsim.scripts import SCRIPTS, TASK_SCRIPTS, Script, TaskScript
from tests.unit.powershell import tree

from .machine import REPOSITORY

FILES = sorted(
    [*(REPOSITORY / "iis/powershell").glob("*.ps1"), *(REPOSITORY / "roles").glob("*/files/*.ps1")]
)
MODELS: dict[str, Script | TaskScript] = {**SCRIPTS, **TASK_SCRIPTS}
TASKS = {script.path for script in TASK_SCRIPTS.values()}


def relative(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def code(path: Path) -> str:
    return tree.without_comments(path.read_text())


def test_there_are_scripts() -> None:
    assert FILES


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_a_script_keeps_to_the_rules(path: Path) -> None:
    text = code(path)
    assert "Set-StrictMode" in text
    if relative(path) in TASKS:
        assert "$Ansible" not in text, "Task Scheduler runs it, where there is none"
        assert "exit 1" in text, "Task Scheduler shows nothing but the exit code"
    else:
        # Without it win_powershell skips the script in check mode and says "changed".
        assert "[CmdletBinding(SupportsShouldProcess)]" in text
        assert "$Ansible.Changed = $false" in text, (
            "win_powershell says changed unless the script says otherwise"
        )


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_a_script_has_a_model_of_exactly_its_text(path: Path) -> None:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert digest in MODELS, (
        f"{relative(path)} was edited: read its model in winsim/script_models.py again, then record {digest}"
    )
    assert MODELS[digest].path == relative(path)
    declared = re.findall(r"^    \$(\w+)", code(path).partition("\n)\n")[0], flags=re.MULTILINE)
    assert tuple(declared) == MODELS[digest].parameters


def test_no_model_is_left_without_its_script() -> None:
    assert sorted(script.path for script in MODELS.values()) == [relative(path) for path in FILES]
