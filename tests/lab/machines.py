"""The lab's containers: how each is run, and the one way all of them are made to stand."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, NotFound
from docker.models.containers import Container

from . import cgroups
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
    """One container of the lab. `ports`: port inside -> loopback port; `volumes`: purpose -> path inside.

    `names`: what the lab's DNS calls it, beside its part.
    """

    part: str
    image: str
    ports: dict[int, int] = field(default_factory=dict)
    volumes: dict[str, str] = field(default_factory=dict)
    secrets: tuple[Secret, ...] = ()
    systemd: bool = False
    names: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)


# systemd and a Docker Engine of its own inside a container, in the engine's own words. `--privileged` would ask for
# CAP_SYS_RESOURCE, which a machine that is itself confined does not have; cgroups are the host's, because systemd has
# to make some; nothing is masked, because the inner engine must write below /proc/sys.
SYSTEMD: dict[str, Any] = {
    "CapAdd": ["ALL"],
    "CapDrop": ["SYS_RESOURCE"],
    "SecurityOpt": ["seccomp=unconfined"],
    "Tmpfs": {"/run": "", "/run/lock": "", "/tmp": ""},  # noqa: S108 - paths inside the container
    "CgroupnsMode": "host",
    "MaskedPaths": [],
    "ReadonlyPaths": [],
}
CGROUP_BIND = {"/sys/fs/cgroup": {"bind": "/sys/fs/cgroup", "mode": "rw"}}


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
    binds = {names.volume(purpose): {"bind": path, "mode": "rw"} for purpose, path in machine.volumes.items()}
    host_config: dict[str, Any] = client.api.create_host_config(
        binds={**binds, **(CGROUP_BIND if machine.systemd else {})},
        port_bindings={inside: (ADDRESS, outside) for inside, outside in machine.ports.items()},
        restart_policy={"Name": "unless-stopped"},
        network_mode=names.network,
    )
    if machine.systemd:
        host_config.update(SYSTEMD)
    # What create_networking_config makes, written out: its type stubs allow no names.
    network: Any = {
        "EndpointsConfig": {
            names.network: client.api.create_endpoint_config(aliases=[machine.part, *machine.names])
        }
    }
    create = partial(
        client.api.create_container,
        machine.image,
        name=names.container(machine.part),
        hostname=machine.part,
        labels=names.labels,
        environment=machine.environment,
        ports=list(machine.ports),
        host_config=host_config,
        networking_config=network,
    )
    try:
        made = create()
    except APIError as error:
        if "CapDrop" not in str(error.explanation):
            raise
        # Newer engines take "ALL" as what the machine has, and refuse to drop what it has not.
        host_config["CapDrop"] = []
        made = create()
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
    inner: list[str] = []
    if part == "gpu-host":
        inner = cgroups.inner_containers(client, names.volume("gpu-host-docker"))
        if container.status == "running":
            # The inner engine's cgroups live in the machine's own tree and outlive the container otherwise.
            container.exec_run(["systemctl", "stop", "docker.socket", "docker.service", "containerd.service"])
    try:
        container.stop(timeout=10)
    except APIError as error:
        if error.status_code != 304:  # already stopped
            raise
    container.remove(force=True, v=True)
    # After a crash nothing stopped the inner engine in order.
    cgroups.forget(inner)
