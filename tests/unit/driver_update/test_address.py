"""Whether there is a queue to keep is known, or the run ends: a Docker that does not answer is not an empty queue."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.names import ROOT

PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.include_tasks: {tasks}
    - ansible.builtin.debug: {{msg: "address is [{{{{ __comfyui_service_container.stdout }}}}]"}}
"""


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        ("echo 172.18.0.2", 0, "address is [172.18.0.2]"),
        ("echo 'error: no such object: comfyui-qwen' >&2; exit 1", 0, "address is []"),
        ("echo 'Error: No such object: comfyui-qwen' >&2; exit 1", 0, "address is []"),
        ("echo 'Cannot connect to the Docker daemon' >&2; exit 1", 2, "Cannot connect to the Docker daemon"),
    ],
)
def test_only_a_container_that_is_not_there_has_no_queue(
    answer: str, code: int, words: str, tmp_path: Path
) -> None:
    docker = tmp_path / "docker"
    docker.write_text(f"#!/bin/sh\n{answer}\n")
    docker.chmod(0o755)
    play = tmp_path / "play.yml"
    play.write_text(PLAY.format(tasks=ROOT / "roles" / "comfyui_service" / "tasks" / "address.yml"))
    command = [Path(sys.executable).with_name("ansible-playbook"), "-i", "localhost,", "-c", "local", play]
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        list(map(str, command)), env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, words in done.stdout + done.stderr) == (code, True), done
