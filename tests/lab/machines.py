"""The lab's containers: how each is run, and the one way all of them are made to stand."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, NotFound
from docker.models.containers import Container

from .console import LabError, say
from .names import Names
from .ports import ADDRESS


@dataclass(frozen=True)
class Secret:
    """A file put into a container before it starts, so that no image layer and no command line carries it."""

    source: Path
    target: str
    mode: int = 0o600
    owner: int = 0


@dataclass(frozen=True)
class Machine:
    """One container of the lab. `ports`: port inside -> loopback port; `volumes`: purpose -> path inside."""

    part: str
    image: str
    ports: dict[int, int] = field(default_factory=dict)
    volumes: dict[str, str] = field(default_factory=dict)
    secrets: tuple[Secret, ...] = ()
    systemd: bool = False


# systemd and a Docker Engine of its own inside a container. `--privileged` would ask for CAP_SYS_RESOURCE, which
# a machine that is itself confined does not have; cgroups are the host's, because systemd has to make some.
SYSTEMD_OPTIONS: dict[str, Any] = {
    "cap_add": ["ALL"],
    "cap_drop": ["SYS_RESOURCE"],
    "security_opt": ["seccomp=unconfined"],
    "tmpfs": {"/run": "", "/run/lock": "", "/tmp": ""},  # noqa: S108 - paths inside the container
    "binds": {"/sys/fs/cgroup": {"bind": "/sys/fs/cgroup", "mode": "rw"}},
}
# What the SDK's helper has no words for: the inner engine must write below /proc/sys.
SYSTEMD_RAW: dict[str, Any] = {"CgroupnsMode": "host", "MaskedPaths": [], "ReadonlyPaths": []}


def _put(container: Container, secrets: tuple[Secret, ...]) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for secret in secrets:
            info = tarfile.TarInfo(secret.target.lstrip("/"))
            content = secret.source.read_bytes()
            info.size, info.mode, info.uid, info.gid = len(content), secret.mode, secret.owner, secret.owner
            info.mtime = int(time.time())
            tar.addfile(info, io.BytesIO(content))
    if secrets:
        container.put_archive("/", buffer.getvalue())


def _create(client: docker.DockerClient, names: Names, machine: Machine) -> Container:
    systemd = SYSTEMD_OPTIONS if machine.systemd else {}
    binds = {names.volume(purpose): {"bind": path, "mode": "rw"} for purpose, path in machine.volumes.items()}
    host_config = client.api.create_host_config(
        **{key: value for key, value in systemd.items() if key != "binds"},
        binds={**binds, **systemd.get("binds", {})},
        port_bindings={inside: (ADDRESS, outside) for inside, outside in machine.ports.items()},
        restart_policy={"Name": "unless-stopped"},
        network_mode=names.network,
    )
    if machine.systemd:
        host_config.update(SYSTEMD_RAW)
    # What create_networking_config makes, written out: its type stubs allow no names.
    network: Any = {
        "EndpointsConfig": {names.network: client.api.create_endpoint_config(aliases=[machine.part])}
    }
    made = client.api.create_container(
        machine.image,
        name=names.container(machine.part),
        hostname=machine.part,
        labels=names.labels,
        ports=list(machine.ports),
        host_config=host_config,
        networking_config=network,
    )
    container = client.containers.get(made["Id"])
    _put(container, machine.secrets)
    return container


def stand(client: docker.DockerClient, names: Names, machine: Machine) -> Container:
    """The running container of `machine`: kept, started or made anew when its image is another one by now.

    Raises LabError where the engine refuses, for example because a port was taken in the meantime.
    """
    name = names.container(machine.part)
    try:
        container = client.containers.get(name)
        if container.attrs["Image"] != client.images.get(machine.image).id:
            say(f"{machine.part}: its image changed; replacing the container")
            remove(client, names, machine.part)
            raise NotFound("replaced")
    except NotFound:
        say(f"{machine.part}: creating the container")
        container = _create(client, names, machine)
    if container.status != "running":
        try:
            container.start()
        except APIError as error:
            remove(client, names, machine.part)
            raise LabError(
                found=f"the engine could not start {name}: {error.explanation}",
                expected="a running container",
                next_step="a port taken meanwhile is chosen anew by running again; `make lab-reset` starts afresh",
            ) from error
    container.reload()
    return container


def wait_until(what: str, ready: Callable[[], bool], seconds: float, evidence: Callable[[], str]) -> None:
    """Returns when `ready()` is true; raises LabError with `evidence()` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise LabError(
                found=f"{what}: not so after {seconds:.0f} s; last lines:\n{evidence().strip()[-1200:]}",
                expected=what,
                next_step="`make lab-reset` starts afresh; if it happens again, these lines tell why",
            )
        time.sleep(0.3)


def remove(client: docker.DockerClient, names: Names, part: str) -> None:
    """Removes one container and what its inner engine would leave behind."""
    try:
        container = client.containers.get(names.container(part))
    except NotFound:
        return
    if container.status == "running" and part == "gpu-host":
        # The inner engine's cgroups live in the machine's own tree and outlive the container otherwise.
        container.exec_run(["systemctl", "stop", "docker.socket", "docker.service", "containerd.service"])
    try:
        container.stop(timeout=10)
    except APIError as error:
        if error.status_code != 304:  # already stopped
            raise
    container.remove(force=True, v=True)
