"""A Docker Engine on this machine: found, or installed from the distribution's packages and started.

The engine outlives the lab on purpose: other work on the machine may use it by then.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import docker
from docker.errors import DockerException

from .console import LabError, say

SOCKET = Path("/var/run/docker.sock")
PIDFILE = Path("/var/run/docker.pid")
LOG = Path("/var/log/comfystack-dockerd.log")
START_SECONDS = 60


def as_root(command: list[str]) -> list[str]:
    """The command, through sudo where we are not root. Raises LabError where neither is to be had."""
    if os.geteuid() == 0:
        return command
    if shutil.which("sudo"):
        return ["sudo", *command]
    raise LabError(
        found=f"an ordinary user and no sudo; root is needed for: {' '.join(command)}",
        expected="root, or sudo, to install and start Docker Engine",
        next_step="run the same command as root, or ask an administrator to install and start Docker",
    )


def install_packages(*names: str) -> None:
    """Installs Debian/Ubuntu packages. Raises LabError where there is no apt or it fails."""
    if not shutil.which("apt-get"):
        raise LabError(
            found="no apt-get on this machine",
            expected=f"Debian or Ubuntu, where {' '.join(names)} can be installed",
            next_step=f"install {' '.join(names)} with this system's own package manager and run again",
        )
    say(f"installing {' '.join(names)} from the distribution's packages")
    environment = ["env", "DEBIAN_FRONTEND=noninteractive"]
    for command in (
        ["apt-get", "update", "-q"],
        ["apt-get", "install", "-qy", "--no-install-recommends", *names],
    ):
        done = subprocess.run(as_root([*environment, *command]), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise LabError(
                found=f"`{' '.join(command)}` failed: {(done.stderr or done.stdout).strip()[-600:]}",
                expected="a working package source",
                next_step="repair the package source (network, mirror, disk) and run again",
            )


def socket_is_ours() -> bool:
    """Whether this user may speak to the engine's socket (also true where there is none yet)."""
    return not SOCKET.exists() or os.access(SOCKET, os.R_OK | os.W_OK)


def connect(timeout: int = 600) -> docker.DockerClient | None:
    """A client of the running engine, or None where none answers. `timeout` in seconds, per request."""
    try:
        client = docker.from_env(timeout=timeout)
        client.ping()
    except DockerException:
        return None
    return client


def _is_dockerd(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() == "dockerd"
    except OSError:
        return False


def _forget_dead_daemon() -> None:
    """A daemon that was killed leaves its pid file; a later process with that number then blocks the start."""
    try:
        pid = int(PIDFILE.read_text())
    except (OSError, ValueError):
        return
    if not _is_dockerd(pid):
        say(f"removing {PIDFILE}: process {pid} is not a Docker daemon any more")
        subprocess.run(as_root(["rm", "-f", str(PIDFILE)]), check=True)


def _start() -> None:
    if Path("/run/systemd/system").is_dir():
        say("starting Docker Engine with systemd")
        subprocess.run(as_root(["systemctl", "start", "docker"]), check=False)
        return
    _forget_dead_daemon()
    say(f"starting Docker Engine without systemd (log: {LOG})")
    # A session of its own, so that it outlives this command and its terminal.
    subprocess.Popen(
        as_root(["sh", "-c", f"exec setsid dockerd >>{LOG} 2>&1 </dev/null"]),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        close_fds=True,
    )


def ensure() -> docker.DockerClient:
    """The engine's client, after installing and starting the engine where needed.

    Raises LabError where there is neither an engine nor the rights to make one, or where it does not start.
    """
    client = connect()
    if client:
        return client
    if os.environ.get("DOCKER_HOST"):
        raise LabError(
            found=f"no engine answers at DOCKER_HOST={os.environ['DOCKER_HOST']}",
            expected="a running Docker Engine there, or DOCKER_HOST unset to use this machine's own",
            next_step="start that engine, or run again with DOCKER_HOST unset",
        )
    if not shutil.which("dockerd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"):
        install_packages("docker.io")
    client = connect()
    if client:
        return client
    _start()
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if SOCKET.exists() and not socket_is_ours():
            raise LabError(
                found=f"{SOCKET} is there, but this user may not use it",
                expected="root, or membership of the group 'docker'",
                next_step="run again: the lab then goes through sudo",
            )
        client = connect()
        if client:
            return client
        time.sleep(0.5)
    tail = subprocess.run(
        as_root(["tail", "-n", "15", str(LOG)]), capture_output=True, text=True, check=False
    ).stdout
    raise LabError(
        found=f"Docker Engine did not answer within {START_SECONDS} s; its last lines:\n{tail}",
        expected=f"an engine behind {SOCKET}",
        next_step="`journalctl -u docker` (systemd) or the log above tells why; repair it and run again",
    )
