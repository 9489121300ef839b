"""What these tests need to know of the machine's own Docker Engine, as JSON on stdout.

Run by itself (`python -m tests.e2e.engine_view …`), because it may need root where the tests do not have it.

usage: engine_view.py owned LAB         what carries the lab's label, by kind
       engine_view.py inspect LAB       `docker inspect` of the lab's containers and images, and the images' history
       engine_view.py logs CONTAINER    a container's whole log
       engine_view.py contents CONTAINER FOLDER…   path -> content in Base64 of the files in these folders
       engine_view.py files CONTAINER FOLDER   SHA-256 and path of every file in a folder of a container
       engine_view.py maim LAB          a crash: two containers killed, one removed, the network gone
       engine_view.py reboot LAB        the Windows machine restarts, and its guest with it; names what was restarted
       engine_view.py answers           whether the engine answers
"""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
import tarfile
from pathlib import PurePosixPath
from typing import Any

import docker

from tests.lab.engine import SOCKET, as_root, socket_is_ours
from tests.lab.names import LABEL, ROOT, Names


def ask(action: str, *arguments: str) -> Any:
    """The answer to one of the questions above, asked as root where the engine's socket is not ours."""
    command = [sys.executable, "-m", "tests.e2e.engine_view", action, *arguments]
    if not (SOCKET.exists() and socket_is_ours()):
        command = as_root(command)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _owned(client: docker.DockerClient, lab: str) -> dict[str, Any]:
    wanted: dict[str, Any] = {"label": f"{LABEL}={lab}"}
    return {
        "containers": {c.name: c.id for c in client.containers.list(all=True, filters=wanted)},
        "networks": [network.name for network in client.networks.list(filters=wanted)],
        "volumes": [volume.name for volume in client.volumes.list(filters=wanted)],
        "images": [image.tags or [image.id] for image in client.images.list(filters=wanted)],
    }


def _inspect(client: docker.DockerClient, lab: str) -> list[Any]:
    wanted: dict[str, Any] = {"label": f"{LABEL}={lab}"}
    images = client.images.list(filters=wanted)
    containers = client.containers.list(all=True, filters=wanted)
    return [part.attrs for part in [*containers, *images]] + [image.history() for image in images]


def _contents(client: docker.DockerClient, container: str, *folders: str) -> dict[str, str]:
    found = {}
    for folder in folders:
        stream, _ = client.containers.get(container).get_archive(folder)
        with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isfile() else None
                if content is not None:
                    path = PurePosixPath(folder).parent / member.name
                    found[str(path)] = base64.b64encode(content.read()).decode()
    return found


def _maim(client: docker.DockerClient, names: Names) -> list[str]:
    for part in ("gpu-host", "windows-host"):
        client.containers.get(names.container(part)).kill()
    client.containers.get(names.container("mirror")).remove(force=True)
    for network in client.networks.list(names=[f"^{names.network}$"]):
        network.reload()
        for stray in network.containers:
            network.disconnect(stray, force=True)
        network.remove()
    running = client.containers.list(filters={"label": f"{LABEL}={names.lab}"})
    return [str(container.name) for container in running]


def _reboot(client: docker.DockerClient, names: Names) -> list[str]:
    parts = [client.containers.get(names.container(part)) for part in ("gpu-host", "windows-host")]
    # The guest ends with Windows, and both come up at their own pace.
    for part in parts:
        part.stop(timeout=60)
    for part in reversed(parts):
        part.start()
    return [str(part.name) for part in parts]


def main(action: str, *arguments: str) -> int:
    """Prints the answer."""
    client = docker.from_env()
    answer: Any
    if action == "owned":
        answer = _owned(client, *arguments)
    elif action == "inspect":
        answer = _inspect(client, *arguments)
    elif action == "logs":
        answer = client.containers.get(*arguments).logs().decode(errors="replace")
    elif action == "files":
        container, folder = arguments
        command = ["find", folder, "-type", "f", "-exec", "sha256sum", "{}", "+"]
        found = client.containers.get(container).exec_run(command).output
        assert isinstance(found, bytes)
        answer = sorted(found.decode().splitlines())
    elif action == "contents":
        answer = _contents(client, *arguments)
    elif action == "maim":
        answer = _maim(client, Names(*arguments))
    elif action == "reboot":
        answer = _reboot(client, Names(*arguments))
    else:
        answer = client.ping()
    json.dump(answer, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
