"""The count of executed tasks: one that no scenario executes is named, and a check does not count."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.molecule import executed, run
from tests.molecule.names import HERE, ROOT

ROLE = {
    "tasks/main.yml": """---
- name: First stage
  ansible.builtin.import_tasks: stage.yml
- name: Each site
  ansible.builtin.include_tasks: site.yml
  loop: [one]
""",
    "tasks/stage.yml": """---
- name: Always
  ansible.builtin.debug:
  changed_when: true
  notify: Told
- name: Where it is asked for
  ansible.builtin.debug:
  when: asked | default(false)
- name: In a check, too
  ansible.builtin.command: "true"
  changed_when: false
  check_mode: false
- name: Nothing more in a check
  ansible.builtin.meta: end_role
  when: ansible_check_mode
- name: For each of none
  ansible.builtin.debug:
  loop: "{{ several | default([]) }}"
- when: not ansible_check_mode
  block:
    - name: Tried
      ansible.builtin.assert:
        that: works | default(true)
  rescue:
    - name: Rescued
      ansible.builtin.debug:
  always:
    - name: Tidied
      ansible.builtin.debug:
""",
    "tasks/site.yml": """---
- name: One site
  ansible.builtin.debug:
""",
    "handlers/main.yml": """---
- name: Told
  ansible.builtin.debug:
""",
}
EVERYTHING = {
    "Always", "Each site", "For each of none", "In a check, too", "Nothing more in a check", "One site", "Rescued",
    "Tidied", "Told", "Tried", "Where it is asked for",
}  # fmt: skip
PLAIN = {"Always", "Each site", "In a check, too", "One site", "Tidied", "Told", "Tried"}


@pytest.fixture
def roles(tmp_path: Path) -> Path:
    """A folder with one role that has a bit of everything."""
    folder = tmp_path / "roles"
    for name, text in ROLE.items():
        file = folder / "sample" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


def play(roles: Path, *options: str) -> Path:
    """Lets Ansible play the role; the callback's record."""
    playbook = roles.parent / "play.yml"
    playbook.write_text("- {hosts: localhost, gather_facts: false, roles: [sample]}\n")
    record = roles.parent / "record"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "ANSIBLE_ROLES_PATH": str(roles),
        "ANSIBLE_CALLBACK_PLUGINS": str(HERE / "callback"),
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        "COMFYSTACK_EXECUTED": str(record),
    }
    command = ["ansible-playbook", "-i", "localhost,", "-c", "local", str(playbook), *options]
    done = subprocess.run(
        command, cwd=roles.parent, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return record


def names(tasks: set[executed.Task]) -> set[str]:
    return {task.name for task in tasks}


def test_every_task_and_handler_is_counted_but_not_what_stands_for_them(roles: Path) -> None:
    assert names(set(executed.written_down(roles))) == EVERYTHING


def test_what_ran_counts_and_what_was_skipped_does_not(roles: Path) -> None:
    assert names(executed.executed([play(roles)])) == PLAIN


def test_a_check_counts_only_for_what_runs_in_it_for_real(roles: Path) -> None:
    assert names(executed.executed([play(roles, "--check")])) == {
        "In a check, too",
        "Nothing more in a check",
    }


def test_a_task_that_nothing_executed_turns_it_red_and_is_named_with_its_place(roles: Path) -> None:
    play(roles, "--check")
    play(roles, "-e", "{asked: true, several: [1]}")
    passed, words = executed.report(roles, [play(roles)])
    assert not passed
    assert "found: 1 of 11 " in words
    line = ROLE["tasks/stage.yml"].splitlines().index("    - name: Rescued") + 1
    assert f"roles/sample/tasks/stage.yml:{line}: Rescued" in words
    passed, words = executed.report(roles, [play(roles, "-e", "works=false")])
    assert passed, words
    assert "all 11 " in words


def test_a_handler_that_never_fired_turns_it_red(roles: Path) -> None:
    record = play(roles)
    record.write_text("".join(line for line in record.open() if '"Told"' not in line))
    passed, words = executed.report(roles, [record])
    assert not passed
    assert "roles/sample/handlers/main.yml:2: Told" in words


def test_tasks_that_cannot_be_told_apart_are_refused(roles: Path) -> None:
    site = roles / "sample" / "tasks" / "site.yml"
    site.write_text(ROLE["tasks/site.yml"] + "- name: One site\n  ansible.builtin.debug:\n")
    with pytest.raises(executed.CountError, match=r"site\.yml:4: a task named 'One site' as another one is"):
        executed.written_down(roles)
    site.write_text("- ansible.builtin.debug:\n")
    with pytest.raises(executed.CountError, match=r"site\.yml:1: a task without a name"):
        executed.written_down(roles)


def test_the_tasks_of_this_repository_can_be_counted() -> None:
    there = executed.written_down(ROOT / "roles")
    assert {task.file.relative_to(ROOT / "roles").parts[1] for task in there} == {"tasks", "handlers"}


def everything_passes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(run, "BUILD", tmp_path)
    monkeypatch.setattr(run, "molecule", lambda *_: True)


def test_all_scenarios_together_fail_when_something_was_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    everything_passes(monkeypatch, tmp_path)
    assert run.main([]) == 1
    assert "that no scenario executed" in capsys.readouterr().out


def test_one_scenario_alone_is_not_measured_by_what_the_others_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    everything_passes(monkeypatch, tmp_path)
    assert run.main(["native"]) == 0


def test_a_record_of_an_earlier_run_does_not_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    everything_passes(monkeypatch, tmp_path)
    run.record("native").write_text("left by an earlier run\n")
    assert run.main(["native"]) == 0
    assert not run.record("native").exists()
