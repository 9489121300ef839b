"""What a guest's own engine leaves in this machine's cgroup tree when it dies instead of stopping.

The guest shares the tree (its systemd has to make groups there), so its containers' groups outlive it, empty.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import docker
from docker.errors import NotFound

from .console import LabError, warn
from .engine import as_root

TREE = Path("/sys/fs/cgroup")


def inner_containers(client: docker.DockerClient, volume: str) -> list[str]:
    """Ids of the containers that the guest's engine knows, read from the volume that is its /var/lib/docker."""
    try:
        folder = client.volumes.get(volume).attrs["Mountpoint"]
        listed = subprocess.run(
            as_root(["ls", f"{folder}/containers"]), capture_output=True, text=True, check=False
        )
    except (NotFound, LabError):
        return []
    return listed.stdout.split()


def forget(containers: list[str]) -> None:
    """Removes the empty groups of these containers, of which none runs any more."""
    folders = [
        path
        for path in TREE.rglob("*")
        if path.is_dir() and any(container in path.name for container in containers)
    ]
    if not folders:
        return
    deepest_first = sorted((str(path) for path in folders), key=len, reverse=True)
    try:
        done = subprocess.run(as_root(["rmdir", *deepest_first]), capture_output=True, text=True, check=False)
    except LabError as error:
        warn(f"empty control groups stay under {TREE}: {error}")
    else:
        if done.returncode != 0:
            warn(f"empty control groups stay under {TREE}: {done.stderr.strip()}")
