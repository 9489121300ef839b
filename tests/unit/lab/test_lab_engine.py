"""The engine is found, or made; where it can be neither, one message says why."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import __main__ as command
from tests.lab import engine
from tests.lab.console import LabError
from tests.lab.names import ROOT


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An ordinary user on a machine with git, but without sudo, Docker and apt-get."""
    git = tmp_path / "bin" / "git"
    git.parent.mkdir()
    git.symlink_to(str(shutil.which("git")))
    monkeypatch.setenv("PATH", str(git.parent))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(engine, "SOCKET", tmp_path / "docker.sock")
    monkeypatch.setattr(engine, "PIDFILE", tmp_path / "docker.pid")


@pytest.mark.usefixtures("nobody")
def test_no_docker_and_no_root_ends_with_one_message_and_nothing_made(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LAB_NAME", "nobodys-lab")
    monkeypatch.setattr(sys, "argv", ["python -m tests.lab", "up"])
    assert command.main() == 1
    message = capsys.readouterr().err
    assert "found: an ordinary user and no sudo" in message
    assert "expected: root, or sudo" in message
    assert "next step: " in message
    assert "Traceback" not in message
    assert not (ROOT / "build" / "nobodys-lab").exists()


@pytest.mark.usefixtures("nobody")
def test_a_machine_without_apt_is_told_what_to_install() -> None:
    with pytest.raises(LabError, match=r"no apt-get(.|\n)*install docker\.io with this system's own"):
        engine.install_packages("docker.io")


def test_root_needs_no_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert engine.as_root(["true"]) == ["true"]


def test_a_user_with_sudo_goes_through_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(shutil, "which", lambda program: f"/usr/bin/{program}")
    assert engine.as_root(["true"]) == ["sudo", "true"]


def test_an_engine_elsewhere_that_does_not_answer_is_not_replaced_by_one_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    absent = f"unix://{tmp_path / 'nothing.sock'}"
    monkeypatch.setenv("DOCKER_HOST", absent)
    with pytest.raises(LabError) as refused:
        engine.ensure()
    assert f"no engine answers at DOCKER_HOST={absent}" in str(refused.value)


class TestPidFile:
    """dockerd refuses to start where its pid file names a living process, whatever that process is."""

    @pytest.fixture
    def pid_file(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
        file = tmp_path / "docker.pid"
        monkeypatch.setattr(engine, "PIDFILE", file)
        monkeypatch.setattr(engine, "as_root", lambda words: words)
        return file

    @pytest.fixture
    def daemon(self, tmp_path: Path) -> Iterator[int]:
        """A process that is called dockerd."""
        program = tmp_path / "dockerd"
        shutil.copy(str(shutil.which("sleep")), program)
        with subprocess.Popen([program, "600"]) as process:
            # The kernel lets Popen return a moment before it gives the process its name.
            while Path(f"/proc/{process.pid}/comm").read_text().strip() != "dockerd":
                time.sleep(0.001)
            yield process.pid
            process.kill()

    def test_a_daemon_that_died_does_not_block_the_next_one(self, pid_file: Path) -> None:
        pid_file.write_text(f"{os.getpid()}\n")  # lives, but is no dockerd
        engine._forget_dead_daemon()
        assert not pid_file.exists()

    def test_a_number_that_nobody_has_is_forgotten(self, pid_file: Path) -> None:
        pid_file.write_text("4194304999")
        engine._forget_dead_daemon()
        assert not pid_file.exists()

    def test_a_living_daemons_file_is_left_alone(self, pid_file: Path, daemon: int) -> None:
        pid_file.write_text(str(daemon))
        engine._forget_dead_daemon()
        assert pid_file.read_text() == str(daemon)

    def test_no_file_is_no_error(self, pid_file: Path) -> None:
        engine._forget_dead_daemon()
        assert not pid_file.exists()
