"""Before a switch, every shipped workflow is held against the nodes of the version that is to take over."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from comfystack.workflow.contract import recorded

from tests.lab.names import ROOT
from tests.own_modules import load

workflows = load("upgrade_workflows", ROOT / "ansible" / "upgrade" / "workflows.py")


@pytest.fixture
def object_info() -> dict[str, Any]:
    return copy.deepcopy(dict(recorded().classes))


def asked(tmp_path: Path, object_info: dict[str, Any]) -> int:
    file = tmp_path / "object_info.json"
    file.write_text(json.dumps(object_info))
    code: int = workflows.main([str(file)])
    return code


def test_the_version_of_the_lock_takes_all_of_them(tmp_path: Path, object_info: dict[str, Any]) -> None:
    assert asked(tmp_path, object_info) == 0


def test_a_class_that_is_gone_is_told_with_the_workflows_that_need_it(
    tmp_path: Path, object_info: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    del object_info["TextEncodeQwenImageEditPlus"]
    assert asked(tmp_path, object_info) == 1
    said = capsys.readouterr().out
    assert "workflow edit-lightning, node " in said
    assert "text-to-image" not in said


def test_an_input_that_is_new_and_required_is_told(
    tmp_path: Path, object_info: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    object_info["KSampler"]["input"]["required"]["brand_new"] = ["FLOAT", {"default": 1.0}]
    assert asked(tmp_path, object_info) == 1
    assert "brand_new" in capsys.readouterr().out
