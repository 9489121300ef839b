"""What preflight makes of a host's settings, through Ansible: every finding is told, those of one role together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab.names import ROOT

from . import asking
from .rendering import LEAST

SITE = {name: value for name, value in LEAST.items() if name.startswith("site_")}
NAME = {"name": "qwen.example.org"}
# A host each, so that Ansible starts once for all of them.
CASES: dict[str, dict[str, Any]] = {
    "on-a-default": {"site_public_sites": [{**NAME, "backend_port": "{{ site_edge_port }}"}]},
    "on-nothing": {"site_public_sites": [{**NAME, "backend_port": "{{ nobody_gave_this }}"}]},
    # With others whose settings can be read.
    "on-nothing-either": {"site_root_dir": "{{ nobody_gave_this }}", "preflight_roles": ["two"]},
    "two-forms": {"site_edge_port": "abc", "site_proxy_timeout_seconds": "long"},
    "two-of-a-role": {"preflight_roles": ["two"]},
}
ROLE = {
    "first": ("found: the first", False),
    "second": ("found: the second", False),
    "third": ("found: the third", True),
}


def _role(folder: Path) -> None:
    """A role that looks at three topics, two of which it finds fault with."""
    topics = folder / "tasks" / "preflight"
    topics.mkdir(parents=True)
    for topic, (message, holds) in ROLE.items():
        task = {"name": topic, "ansible.builtin.assert": {"that": [holds], "fail_msg": message}}
        (topics / f"{topic}.yml").write_text(yaml.safe_dump([task]))
    (folder / "meta").mkdir()
    (folder / "meta" / "argument_specs.yml").write_text("argument_specs: {main: {options: {}}}\n")


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Case -> what preflight finds there."""
    room = tmp_path_factory.mktemp("preflight")
    (room / "roles").mkdir()
    (room / "roles" / "site").symlink_to(ROOT / "roles" / "site")
    _role(room / "roles" / "two")
    return asking.findings(room, room / "roles", {case: {**SITE, **CASES[case]} for case in CASES})


def test_a_setting_may_stand_on_what_the_site_leaves_at_its_default(findings: dict[str, list[str]]) -> None:
    assert findings["on-a-default"] == []


@pytest.mark.parametrize("case", ["on-nothing", "on-nothing-either"])
def test_a_setting_that_stands_on_one_that_nobody_gave_is_a_finding(
    findings: dict[str, list[str]], case: str
) -> None:
    (finding,) = findings[case]
    for words in (f"{case}: found: ", "'nobody_gave_this' is undefined", "expected: ", "next step: "):
        assert words in finding


def test_all_settings_of_a_wrong_form_are_told(findings: dict[str, list[str]]) -> None:
    (finding,) = findings["two-forms"]
    assert "site_edge_port" in finding
    assert "site_proxy_timeout_seconds" in finding


def test_what_is_found_in_one_topic_of_a_role_does_not_hide_the_next(findings: dict[str, list[str]]) -> None:
    assert findings["two-of-a-role"] == [f"two-of-a-role: {ROLE[topic][0]}" for topic in ("first", "second")]
