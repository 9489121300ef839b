"""The simulated site as a whole: what stands in it, in which order it rises, and how it goes."""

from __future__ import annotations

import json
import os
import shutil
import socket
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, ImageNotFound
from docker.models.containers import Container

from . import authority, base_image, credentials, driver, engine, images, ports, sources, stores, turns
from .console import LabError, say
from .gpu import cards, guest
from .machines import Machine, Secret, remove, stand, wait_until
from .names import DOMAIN, FORGE_NAMES, LABEL, PUBLIC_NAME, Names

# In the order in which they rise: what serves others comes first.
PARTS = ("mirror", "registry", "acme", "gpu-host", "windows-host")
BOOT_SECONDS = 90
# Images, inner engine and layers of one lab, measured at 3.1 GB, with room to work.
NEEDED_BYTES = 6 * 1024**3
# A real ComfyUI: its torch once in the build, once in the image, and once as it was downloaded.
NEEDED_BYTES_REAL = 25 * 1024**3


# What LAB_WINDOWS may name -> what the simulator is told. A Server that has had its guest for long, or a Windows 11
# from the shelf, without WSL.
WINDOWS: dict[str, dict[str, str]] = {
    "server-2022": {},
    "windows-11": {"WINSIM_FLAVOUR": "windows-11", "WINSIM_EMPTY": "1"},
}


def _windows(names: Names) -> str:
    """The Windows of this lab: what it was raised with, or else what LAB_WINDOWS names. Raises LabError."""
    record = names.build / "lab.json"
    raised = json.loads(record.read_text()).get("windows") if record.exists() else None
    wanted = os.environ.get("LAB_WINDOWS") or raised or "server-2022"
    if wanted not in WINDOWS or (raised and wanted != raised):
        raise LabError(
            found=f"LAB_WINDOWS={wanted}" + (f", and a lab with {raised}" if raised else ""),
            expected=raised or " or ".join(WINDOWS),
            next_step="`make lab-down`, then raise it anew" if raised else "correct it",
        )
    return wanted


def _guest(names: Names) -> dict[str, Any] | None:
    """What the inventory said of the guest so far, None of a lab that is not raised."""
    record = names.build / "lab.json"
    found: dict[str, Any] | None = (
        json.loads(record.read_text()).get("guest", {}) if record.exists() else None
    )
    return found


def _machine(names: Names, part: str, port: dict[str, int], windows: str = "server-2022") -> Machine:
    build = names.build
    image = names.image(part)
    if part == "mirror":
        return Machine(part, image)
    if part == "registry":
        return Machine(part, image, ports={5000: port["registry"]})
    if part == "acme":
        return Machine(
            part,
            image,
            secrets=(
                Secret(build / "tls" / "acme.crt", "/etc/pebble/acme.crt"),
                Secret(build / "tls" / "acme.key", "/etc/pebble/acme.key"),
            ),
        )
    if part == "gpu-host":
        return Machine(
            part,
            image,
            ports={22: port["ssh"]},
            # A volume, because overlay2 cannot stand on the container's own overlay.
            volumes={"gpu-host-docker": "/var/lib/docker", "wsl-vm": "/mnt/wsl-vm"},
            secrets=_guest_files(names, windows),
            systemd=True,
        )
    return Machine(
        part,
        image,
        ports={80: port["http"], 443: port["https"], 5986: port["winrm"]},
        volumes={"windows-host-state": "/var/lib/winsim", "wsl-vm": "/run/wsl-vm"},
        secrets=(
            Secret(build / "tls" / "winrm.crt", "/etc/winsim/winrm.crt"),
            Secret(build / "tls" / "winrm.key", "/etc/winsim/winrm.key"),
            Secret(build / "windows-users", "/etc/winsim/users"),
        ),
        # Where the authority looks for the public names.
        names=(PUBLIC_NAME, *FORGE_NAMES),
        environment=WINDOWS[windows],
    )


def _guest_files(names: Names, windows: str) -> tuple[Secret, ...]:
    if "WINSIM_EMPTY" in WINDOWS[windows]:
        # There is no guest before Windows has made and started one.
        off = names.build / "power-off"
        off.write_text("0 down\n")
        return (Secret(off, "/mnt/wsl-vm/power", mode=0o644),)
    return (
        Secret(names.build / "ssh" / "host", "/etc/ssh/ssh_host_ed25519_key"),
        Secret(names.build / "ssh" / "siteadmin.pub", "/home/siteadmin/.ssh/authorized_keys", owner=1000),
    )


def _owned(client: docker.DockerClient, names: Names) -> dict[str, Any]:
    wanted: dict[str, Any] = {"label": f"{LABEL}={names.lab}"}
    return {
        "containers": client.containers.list(all=True, filters=wanted),
        "networks": client.networks.list(filters=wanted),
        "volumes": client.volumes.list(filters=wanted),
        "images": client.images.list(filters=wanted),
    }


def _remove_leftovers(client: docker.DockerClient, names: Names) -> None:
    """Removes what an earlier lab of this name left without a record of its ports."""
    owned = _owned(client, names)
    if (names.build / "lab.json").exists() and owned["containers"]:
        return
    if owned["containers"] or owned["networks"] or owned["volumes"]:
        say("removing leftovers of an earlier lab of this name")
        _remove_all(client, names)


def _ports(client: docker.DockerClient, names: Names) -> dict[str, int]:
    """The lab's ports: of the machines that exist, those that they were made with; free ones for the others."""
    record = names.build / "lab.json"
    existing = {container.name for container in _owned(client, names)["containers"]}
    wanted = {
        service for service, machine in ports.MACHINE.items() if names.container(machine) not in existing
    }
    recorded = json.loads(record.read_text())["ports"] if existing else {}
    return {**recorded, **ports.choose(wanted)}


def _ssh_answers(container: Container, port: int) -> bool:
    container.reload()
    if container.status != "running":
        return False
    try:
        with socket.create_connection((ports.ADDRESS, port), timeout=1) as probe:
            probe.settimeout(1)
            return probe.recv(4) == b"SSH-"
    except OSError:
        return False


def _last_lines(container: Container) -> str:
    return str(container.logs(tail=15).decode(errors="replace"))


def _listens(port: int) -> bool:
    try:
        with socket.create_connection((ports.ADDRESS, port), timeout=1):
            return True
    except OSError:
        return False


def _enough_room(comfyui: sources.Choice) -> None:
    free = shutil.disk_usage("/var/lib").free
    needed = NEEDED_BYTES_REAL if comfyui.real else NEEDED_BYTES
    if free < needed:
        raise LabError(
            found=f"{free / 1024**3:.1f} GiB free under /var/lib",
            expected=f"at least {needed / 1024**3:.0f} GiB for the lab's images and its inner engine",
            next_step="free some room and run again",
        )


def _uplink_mtu() -> int:
    """MTU of the interface with the default route: a bridge that promises more loses large packets."""
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        interface, destination = line.split()[:2]
        if destination == "00000000":
            return int(Path(f"/sys/class/net/{interface}/mtu").read_text())
    return 1500


def card_file() -> cards.Inventory:
    """The cards that LAB_CARDS names, or the usual ones. Raises LabError."""
    path = Path(os.environ.get("LAB_CARDS") or cards.DEFAULT_CARDS)
    try:
        return cards.load(path)
    except cards.InventoryError as error:
        raise LabError(
            found=f"a card inventory that cannot be used: {error}",
            expected=f"cards as in {cards.DEFAULT_CARDS.name}",
            next_step=f"correct {path}, or unset LAB_CARDS",
        ) from error


def _record(
    names: Names, port: dict[str, int], parts: list[str], windows: str, comfyui: sources.Choice
) -> None:
    """Writes what the lab was raised with, and how its guest is known to SSH."""
    document = {
        "name": names.lab,
        "domain": DOMAIN,
        "address": ports.ADDRESS,
        "ports": port,
        "parts": parts,
        "windows": windows,
        "guest": comfyui.settings(),
    }
    (names.build / "lab.json").write_text(json.dumps(document, indent=1) + "\n")
    known = f"[{ports.ADDRESS}]:{port['ssh']} {(names.build / 'ssh' / 'host.pub').read_text()}"
    if "WINSIM_EMPTY" not in WINDOWS[windows]:
        (names.build / "ssh" / "known_hosts").write_text(known)


def up(names: Names, only: set[str]) -> None:
    """Raises the lab, or brings it back to how it should stand. `only` restricts it to some parts."""
    parts = [part for part in PARTS if not only or part in only]
    inventory = card_file()
    comfyui = sources.choose(os.environ)
    _enough_room(comfyui)
    client = engine.ensure()
    windows = _windows(names)
    from_the_shelf = "WINSIM_EMPTY" in WINDOWS[windows]
    _remove_leftovers(client, names)
    # They are chosen below. One that somebody insists on and cannot have is told before anything is begun.
    _ports(client, names)
    credentials.ensure(names.build, names.lab)
    guest_before = _guest(names)
    stores.write_installers(names.build)
    # Whoever builds a layer that another one is building gets one of its own, and not that one the next time.
    with turns.alone(), tempfile.TemporaryDirectory(prefix="comfystack-guest-") as room:
        base = base_image.ensure(client)
        for part in parts:
            extra: tuple[tuple[Path, str], ...] = ()
            if part == "gpu-host":
                guest.lay_guest(inventory, Path(room))
                extra = ((Path(room), "guest"),)
            images.build(client, names, part, base, *extra, plain=from_the_shelf and part == "gpu-host")
    if not client.networks.list(names=[f"^{names.network}$"]):
        options = {"com.docker.network.driver.mtu": str(_uplink_mtu())}
        client.networks.create(names.network, driver="bridge", labels=names.labels, options=options)
    # wsl-vm: the power switch of the guest, in the hands of Windows.
    for purpose in ("gpu-host-docker", "windows-host-state", "wsl-vm"):
        client.volumes.create(names.volume(purpose), labels=names.labels)

    # A port is free until the container that was to have it has it.
    with turns.alone():
        port = _ports(client, names)
        _record(names, port, parts, windows, comfyui)
        standing = {part: stand(client, names, _machine(names, part, port, windows)) for part in parts}
    ready: dict[str, Callable[[], bool]] = {
        "registry": lambda: _listens(port["registry"]),
        "acme": lambda: authority.answers(standing["acme"]),
        "gpu-host": lambda: from_the_shelf or _ssh_answers(standing["gpu-host"], port["ssh"]),
        "windows-host": lambda: _listens(port["winrm"]),
    }
    for part in [part for part in ready if part in standing]:
        wait_until(f"{part} answers", ready[part], BOOT_SECONDS, partial(_last_lines, standing[part]))
    if "acme" in standing:
        authority.trust(standing["acme"], names.build)
    if "mirror" in standing:
        sources.serve(standing["mirror"], names.build, comfyui)
        stores.serve_installers(standing["mirror"], names.build)
        stores.serve_models(standing["mirror"], names.build, comfyui.real)
    if "registry" in standing:
        stores.serve_base_image(client, port["registry"])
    if "gpu-host" in standing:
        afresh = guest_before not in (None, comfyui.settings())
        stores.place_models(standing["gpu-host"], comfyui.real, afresh)
        driver.tell_windows(client, names, standing["gpu-host"], inventory)
    say(f"the lab '{names.lab}' stands: {', '.join(parts)}")


def _remove_all(client: docker.DockerClient, names: Names) -> None:
    for part in reversed(PARTS):
        remove(client, names, part)
    owned = _owned(client, names)
    for container in owned["containers"]:
        container.remove(force=True, v=True)
    for network in owned["networks"]:
        network.reload()
        for stray in network.containers:
            network.disconnect(stray, force=True)
        network.remove()
    for volume in owned["volumes"]:
        volume.remove(force=True)


def down(names: Names) -> None:
    """Takes the lab down and leaves nothing of it; shared images go with the last lab, the engine stays."""
    client = engine.connect()
    if client is None:
        say("no Docker Engine answers, so there is no lab in it")
    else:
        _remove_all(client, names)
        for image in _owned(client, names)["images"]:
            # One that a later build replaced has no tag any more.
            for reference in image.tags or [str(image.id)]:
                client.images.remove(reference)
        if not any(LABEL in container.labels for container in client.containers.list(all=True)):
            shared = client.images.list(
                filters={"label": [f"{key}={value}" for key, value in base_image.SHARED.items()]}
            )
            replaced = [str(image.id) for image in shared if not image.tags]
            for reference in (base_image.BASE, *replaced, base_image.PLAIN):
                try:
                    client.images.remove(reference)
                except ImageNotFound:
                    continue
                except APIError as error:
                    say(f"{reference} stays: {error.explanation}")
    shutil.rmtree(names.build, ignore_errors=True)
    say(f"the lab '{names.lab}' is gone. Docker Engine stays: other work may use it by now.")


def status(names: Names) -> int:
    """Prints what stands. Returns 0 when every part of the raised lab runs, else 1."""
    record = names.build / "lab.json"
    client = engine.connect()
    if client is None or not record.exists():
        say(f"the lab '{names.lab}' is not raised; `make lab-up` raises it")
        return 1
    document = json.loads(record.read_text())
    states = {c.name: c.status for c in _owned(client, names)["containers"]}
    wanted = {part: states.get(names.container(part), "missing") for part in document["parts"]}
    for part, state in wanted.items():
        print(f"{part:14} {state}")
    for service, port in document["ports"].items():
        print(f"{service:14} {ports.ADDRESS}:{port}")
    return 0 if all(state == "running" for state in wanted.values()) else 1
