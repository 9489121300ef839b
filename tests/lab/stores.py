"""What the lab's mirror, registry and model folder hold: Windows' installers, base image and model files."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import tarfile
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import docker
import yaml
from docker.models.containers import Container

from tests import tiny_weights

from . import base_image
from .console import LabError
from .images import archive
from .names import ROOT
from .windows_host.winsim.machine import INSTALLERS

MODELS_FOLDER = "/srv/models"  # one file is there before the deployment, which takes it as it is
SHARED_FOLDER = "/srv/forge/models"  # as on the site: another program's
_SHARED = {"Stable-diffusion": "forge-checkpoint.safetensors", "Lora": "forge-lora.safetensors"}
_THERE_BEFORE = "vae"
_SET = "fp8-lightning"  # what the lab's inventory deploys: the rest of it is fetched
_SITEADMIN = 1000  # the user of gpu_host/Dockerfile
_MODELS_SERVED = "/srv/mirror/models"


def _write_if_new(path: Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def _zip(files: dict[str, str]) -> bytes:
    """An archive that depends on its contents alone."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, text in files.items():
            packed.writestr(zipfile.ZipInfo(name, (2025, 1, 1, 0, 0, 0)), text)
    return buffer.getvalue()


def write_installers(build: Path) -> None:
    """Stand-ins of Windows' installers in `build`/installers, and their sums in installers.json there."""
    folder = build / "installers"
    folder.mkdir(exist_ok=True)
    wacs = "stand-in: the Windows simulator runs its model of wacs.exe (winsim/wacs.py) in the place of this file\n"
    installers = {**INSTALLERS, "simple-acme.zip": _zip({"wacs.exe": wacs, "settings.json": "{}\n"})}
    for name, content in installers.items():
        (folder / name).write_bytes(content)
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in installers.items()}
    _write_if_new(build / "installers.json", json.dumps(sums, indent=1) + "\n")


def serve_installers(mirror: Container, build: Path) -> None:
    """Puts them on the mirror."""
    mirror.put_archive("/srv/mirror", archive((build / "installers", "windows")).getvalue())


def serve_base_image(client: docker.DockerClient, port: int) -> None:
    """Pushes the plain Debian image to the lab's registry, under the name that Dockerfiles ask for."""
    target = f"127.0.0.1:{port}/library/debian"
    image = client.images.get(base_image.PLAIN)
    image.tag(target, f"{base_image.SUITE}-slim")
    try:
        for line in client.images.push(target, f"{base_image.SUITE}-slim", stream=True, decode=True):
            if "error" in line:
                raise LabError(
                    found=f"the lab's registry refused the base image: {line['error']}",
                    expected="a registry that stores it",
                    next_step="`make lab-reset` starts afresh",
                )
    finally:
        client.images.remove(f"{target}:{base_image.SUITE}-slim", noprune=True)


def _model(key: str, name: str, tiny: bool) -> bytes:
    """A file of the models lock: random weights where a shipped workflow needs it, else a stand-in."""
    return (tiny_weights.content(key) if tiny else None) or _stand_in(name)


def _stand_in(name: str) -> bytes:
    """A whole, well-formed safetensors file of a few bytes."""
    tensor = {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}
    header = json.dumps({"__metadata__": {"stand_in_for": name}, "w": tensor})
    padded = header.encode() + b" " * (-len(header) % 8)
    return struct.pack("<Q", len(padded)) + padded + b"\0"


def _room(tar: tarfile.TarFile, path: str, content: bytes | None) -> None:
    """A file, or a folder, of the guest's own user."""
    info = tarfile.TarInfo(path.lstrip("/"))
    info.uid = info.gid = _SITEADMIN
    info.mode, info.size = (0o755, 0) if content is None else (0o644, len(content))
    info.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
    tar.addfile(info, None if content is None else io.BytesIO(content))


def place_models(gpu_host: Container, tiny: bool, afresh: bool) -> None:
    """What the guest has of its own: a file of its set, those of other sets, and the models of another program.

    `afresh`: what stands there belongs to another kind of models.
    """
    if afresh:
        gpu_host.exec_run(["rm", "-rf", MODELS_FOLDER])
    lock = yaml.safe_load((ROOT / "comfyui" / "models.lock.yml").read_text())
    fetched = set(lock["sets"][_SET]) - {_THERE_BEFORE}
    entries = {key: entry for key, entry in lock["files"].items() if key not in fetched}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        _room(tar, MODELS_FOLDER, None)
        for folder in sorted({entry["folder"] for entry in entries.values()}):
            _room(tar, f"{MODELS_FOLDER}/{folder}", None)
        for key, entry in entries.items():
            content = _model(key, entry["name"], tiny)
            _room(tar, f"{MODELS_FOLDER}/{entry['folder']}/{entry['name']}", content)
        for folder, name in _SHARED.items():
            _room(tar, f"{SHARED_FOLDER}/{folder}", None)
            _room(tar, f"{SHARED_FOLDER}/{folder}/{name}", _stand_in(name))
    gpu_host.put_archive("/", buffer.getvalue())


def serve_models(mirror: Container, build: Path, tiny: bool) -> None:
    """Stand-ins for every locked model file on the mirror, at the sources' paths, and their lock in `build`."""
    lock = yaml.safe_load((ROOT / "comfyui" / "models.lock.yml").read_text())
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for key, entry in lock["files"].items():
            content = _model(key, entry["name"], tiny)
            digest = hashlib.sha256(content).hexdigest()
            entry.update(bytes=len(content), sha256=digest, verified="lab stand-in")
            path = f"{urlsplit(entry['source']).path}/resolve/{entry['revision']}/{entry['path']}"
            info = tarfile.TarInfo(f"{_MODELS_SERVED}{path}".lstrip("/"))
            info.size, info.mode = len(content), 0o644
            tar.addfile(info, io.BytesIO(content))
    mirror.put_archive("/", buffer.getvalue())
    _write_if_new(build / "models.lock.yml", yaml.safe_dump(lock, sort_keys=False))
