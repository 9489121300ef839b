"""One deployment of a site at a time: the second is told who is at work, and a killed one is in nobody's way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = [sys.executable, str(ROOT / "ansible" / "deploy_lock.py")]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "build" / "mysite"


def deploy(site: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, str(site), *command], capture_output=True, text=True, check=False, timeout=60
    )


@contextmanager
def at_work(site: Path, script: str = "echo begun; read line") -> Iterator[subprocess.Popen[str]]:
    """A deployment that has begun and waits for a line on stdin; what is left of it is killed at the end."""
    process = subprocess.Popen(
        [*PROGRAM, str(site), "bash", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL) if process.poll() is None else None
        process.communicate()


def test_the_second_is_told_who_holds_the_lock_and_does_nothing(site: Path, tmp_path: Path) -> None:
    with at_work(site) as first:
        second = deploy(site, "touch", str(tmp_path / "done-by-second"))
        holder = json.loads((site / "deploy.lock").read_text())
    assert second.returncode == os.EX_TEMPFAIL
    assert not (tmp_path / "done-by-second").exists()
    for words in ("site 'mysite'", f"{holder['user']}, process {first.pid}, since {holder['since']}"):
        assert words in second.stderr
    for part in ("found: ", "expected: ", "next step: "):
        assert part in second.stderr


def test_another_site_is_not_held_up(site: Path) -> None:
    with at_work(site):
        assert deploy(site.with_name("other"), "true").returncode == 0


def test_the_commands_status_is_handed_on_and_the_lock_is_gone(site: Path) -> None:
    done = deploy(site, "bash", "-c", 'touch "$1/made"; exit 7', "_", str(site))
    assert done.returncode == 7
    assert [path.name for path in site.iterdir()] == ["made"]


def test_a_command_that_makes_nothing_leaves_no_folder(site: Path) -> None:
    assert deploy(site, "false").returncode == 1
    assert not site.exists()


def test_a_deployment_that_was_killed_as_a_whole_holds_nothing(site: Path) -> None:
    with at_work(site) as first:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
        assert (site / "deploy.lock").exists()
        assert deploy(site, "true").returncode == 0
    assert not site.exists()


def test_what_a_killed_deployment_left_at_work_is_waited_for(site: Path, tmp_path: Path) -> None:
    """Ansible's workers outlive it by one task."""
    with at_work(site) as first:
        os.kill(first.pid, signal.SIGKILL)
        os.waitpid(first.pid, 0)
        second = subprocess.Popen(
            [*PROGRAM, str(site), "cat", str(tmp_path / "by-first")], stderr=subprocess.PIPE, text=True
        )
        assert second.stderr is not None
        said = second.stderr.readline()
        assert "was killed; waiting for its last task to end" in said
        assert second.poll() is None
        (tmp_path / "by-first").touch()
        assert first.stdin is not None
        first.stdin.write("go on\n")
        first.stdin.flush()
        assert second.wait(timeout=60) == 0
        second.stderr.close()


def test_the_operator_can_end_it_by_the_number_in_the_message(site: Path, tmp_path: Path) -> None:
    script = f"trap 'touch {tmp_path}/told; exit 3' TERM; echo begun; read line & wait"
    with at_work(site, script) as first:
        os.kill(first.pid, signal.SIGTERM)
        assert first.wait(timeout=60) == 3
    assert (tmp_path / "told").exists()
    assert not site.exists()


def test_a_folder_that_may_not_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "build").write_text("a file in the way")
    done = deploy(tmp_path / "build" / "mysite", "true")
    assert done.returncode == os.EX_TEMPFAIL
    assert "found: " in done.stderr
    assert "Traceback" not in done.stderr
