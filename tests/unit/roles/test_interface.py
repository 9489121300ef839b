"""A role's argument specs are its interface: nothing else of the role says anything different."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from . import interface
from .interface import ROLES, ROOT, SHARED, Role

SHARED_TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text() for path in SHARED}
ALL = [interface.read(folder) for folder in ROLES]
# Where a role's options may be read besides in the role itself: other roles, playbooks, inventories, shared templates.
EVERYTHING = "\n".join(
    [text for role in ALL for text in role.texts.values()]
    + [path.read_text() for place in ("ansible/*.yml", "inventories/**/*.yml") for path in ROOT.glob(place)]
    + list(SHARED_TEXTS.values())
)


@pytest.fixture(params=ALL, ids=lambda role: role.name)
def role(request: pytest.FixtureRequest) -> Role:
    found: Role = request.param
    return found


def test_specs_and_defaults_agree_by_key_and_value(role: Role) -> None:
    assert interface.disagreements(role) == []


def test_every_variable_that_a_role_uses_is_declared(role: Role) -> None:
    assert interface.unknown_words(role, ALL, SHARED_TEXTS) == []


def test_every_variable_that_a_role_declares_is_used(role: Role) -> None:
    assert interface.unused(role, EVERYTHING) == []


def test_every_task_and_handler_has_a_name(role: Role) -> None:
    assert interface.unnamed(role) == []


def test_every_handler_is_called_by_some_task_and_every_call_finds_its_handler() -> None:
    handlers = [handler for role in ALL for handler in role.handlers]
    names = [handler["name"] for handler in handlers]
    assert len(names) == len(set(names)), "two handlers of one name: only the last would run"
    called = set().union(*(interface.notified(role) for role in ALL))
    assert [handler["name"] for handler in handlers if not interface.answers_to(handler) & called] == []
    assert called <= set().union(*(interface.answers_to(handler) for handler in handlers))


def test_every_role_folder_has_argument_specs() -> None:
    folders = {path for path in (ROOT / "roles").iterdir() if path.is_dir()}
    assert {role / "tasks" / "main.yml" for role in folders if (role / "tasks").exists()} <= {
        folder / "tasks" / "main.yml" for folder in ROLES
    }
    assert folders == set(ROLES)


class TestTheseChecksBite:
    """Each check, on a copy of a real role in which one thing is broken."""

    @pytest.fixture
    def copied(self, tmp_path: Path) -> Path:
        return Path(shutil.copytree(ROOT / "roles" / "gpu_pin", tmp_path / "gpu_pin"))

    @pytest.mark.parametrize(
        ("file", "old", "new", "said"),
        [
            ("defaults/main.yml", "gpu_pin_mode: auto", "gpu_pin_mode: wsl", "'auto' in the specs, 'wsl' in"),
            (
                "defaults/main.yml",
                "gpu_pin_nvidia_smi_seconds: 30",
                'gpu_pin_nvidia_smi_seconds: "30"',
                "'30' in",
            ),
            ("defaults/main.yml", "gpu_pin_mode: auto", "", "gpu_pin_mode is missing in the defaults"),
            (
                "defaults/main.yml",
                "gpu_pin_mode: auto",
                "gpu_pin_mode: auto\ngpu_pin_x: 1",
                "gpu_pin_x is in the def",
            ),
            (
                "defaults/main.yml",
                "gpu_pin_mode: auto",
                "gpu_pin_mode: auto\ngpu_pin_services: {}",
                "required and st",
            ),
            ("meta/argument_specs.yml", "default: auto", "aliases: []", "neither required nor has a default"),
            (
                "meta/argument_specs.yml",
                "required: true",
                "required: true\n        default: {}",
                "and has a default",
            ),
            (
                "meta/argument_specs.yml",
                "      gpu_pin_mode:",
                "      pin_mode:",
                "pin_mode does not begin with gpu_",
            ),
            (
                "tasks/preflight.yml",
                "register: __gpu_pin_cards",
                "register: cards",
                "cards does not begin with __gpu",
            ),
        ],
    )
    def test_a_disagreement_is_found(self, copied: Path, file: str, old: str, new: str, said: str) -> None:
        assert interface.disagreements(interface.read(copied)) == []
        _replace(copied / file, old, new)
        assert said in "\n".join(interface.disagreements(interface.read(copied)))

    def test_an_undeclared_variable_is_found(self, copied: Path) -> None:
        _replace(copied / "tasks/preflight.yml", '"{{ gpu_pin_mode }}"', '"{{ gpu_pin_moed }}"')
        broken = interface.read(copied)
        (found,) = interface.unknown_words(broken, [], {})
        assert found.startswith("tasks/preflight.yml: gpu_pin_moed is no option")

    def test_an_option_that_nothing_reads_is_found(self, copied: Path) -> None:
        _replace(copied / "tasks/preflight.yml", '"{{ gpu_pin_vram_reserve_mb }}"', "512")
        assert interface.unused(interface.read(copied), "") == ["gpu_pin_vram_reserve_mb is read by nothing"]

    def test_a_task_without_a_name_is_found_in_a_block_too(self, copied: Path) -> None:
        (copied / "tasks" / "more.yml").write_text(
            "- name: Outer\n  block:\n    - ansible.builtin.meta: noop\n  rescue:\n    - ansible.builtin.meta: noop\n"
        )
        assert len(interface.unnamed(interface.read(copied))) == 2


def _replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text, f"{file} no longer has {old!r}: this test has to break something else"
    file.write_text(text.replace(old, new))
