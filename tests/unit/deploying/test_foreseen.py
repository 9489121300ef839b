"""The last words of a check, from a playbook run by the real Ansible: what would change, what cannot be known."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PLAYBOOK = """
- name: A site
  hosts: all
  gather_facts: false
  tasks:
    - name: A file is there
      ansible.builtin.file: {path: "{{ folder }}/new", state: touch, mode: "0600"}
    - name: A folder is there already
      ansible.builtin.file: {path: "{{ folder }}", state: directory}
    - name: A service is started where it was installed
      ansible.builtin.debug: {msg: never in a check}
      when: not ansible_check_mode or false
    - name: A module that cannot check leaves itself out
      ansible.builtin.command: touch {{ folder }}/by-command
    - name: A secret is set
      ansible.builtin.debug: {msg: hidden}
      no_log: true
      when: not ansible_check_mode
    - name: A secret is not needed
      ansible.builtin.debug: {msg: hidden}
      no_log: true
      when: [false, not ansible_check_mode]
    - name: Some of several
      ansible.builtin.debug: {msg: "{{ item }}"}
      loop: [1, 2]
      when: item == 1 or not ansible_check_mode
    - name: Left out for a reason of its own
      ansible.builtin.debug: {msg: never}
      when: false
"""
ENDING = """
- name: A role
  hosts: all
  gather_facts: false
  roles: [ended]
"""


def play(tmp_path: Path, text: str, *arguments: str) -> str:
    (tmp_path / "play.yml").write_text(text)
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(ROOT / "ansible" / "ansible.cfg"),
        "ANSIBLE_ROLES_PATH": str(tmp_path / "roles"),
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
    }
    words = ["-i", "localhost,", "-c", "local", "-e", f"folder={tmp_path}", "play.yml", *arguments]
    program = str(Path(sys.executable).parent / "ansible-playbook")
    done = subprocess.run(
        [program, *words], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.rpartition("PLAY RECAP")[2].partition("\n\n")[2]


def test_a_check_ends_with_what_would_change_and_what_it_cannot_know(tmp_path: Path) -> None:
    assert play(tmp_path, PLAYBOOK, "--check").splitlines() == [
        "CHECK: nothing was changed. A deployment would change:",
        "  localhost",
        "    A file is there",
        "What these would do cannot be foreseen by a check:",
        "  localhost",
        "    A service is started where it was installed",
        "    A module that cannot check leaves itself out",
        "    A secret is set",
        "    Some of several",
    ]
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(("ends", "told"), [("ansible_check_mode", True), ("not ansible_check_mode", False)])
def test_a_role_that_ends_in_a_check_is_told(tmp_path: Path, ends: str, told: bool) -> None:
    tasks = tmp_path / "roles" / "ended" / "tasks"
    tasks.mkdir(parents=True)
    (tasks / "main.yml").write_text(
        f"- name: No further\n  ansible.builtin.meta: end_role\n  when: {ends}\n"
        "- name: The rest\n  ansible.builtin.debug: {msg: rest}\n"
    )
    said = play(tmp_path, ENDING, "--check")
    assert ("ended : No further, nor what comes after it in this role" in said) is told


def test_a_check_that_finds_everything_as_it_should_be_says_so(tmp_path: Path) -> None:
    nothing = "- {name: Nothing, hosts: all, gather_facts: false, tasks: []}"
    assert play(tmp_path, nothing, "--check").splitlines() == [
        "CHECK: nothing was changed, and nothing that can be foreseen would be."
    ]


def test_a_real_run_is_not_commented_on(tmp_path: Path) -> None:
    assert "CHECK" not in play(tmp_path, PLAYBOOK)
