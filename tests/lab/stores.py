"""What the lab's mirror, registry and model folder hold: sources, Windows' installers, base image and model files."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import struct
import subprocess
import tarfile
import tempfile
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import docker
import yaml
from docker.models.containers import Container

from . import base_image
from .console import LabError
from .images import HERE, archive
from .names import ROOT
from .windows_host.winsim.machine import INSTALLERS

MODELS_FOLDER = "/srv/models"  # one file is there before the deployment, which takes it as it is
SHARED_FOLDER = "/srv/forge/models"  # as on the site: another program's
_SHARED = {"Stable-diffusion": "forge-checkpoint.safetensors", "Lora": "forge-lora.safetensors"}
_THERE_BEFORE = "vae"
_SET = "fp8-lightning"  # what the lab's inventory deploys: the rest of it is fetched
_SITEADMIN = 1000  # the user of gpu_host/Dockerfile
_MODELS_SERVED = "/srv/mirror/models"
_GIT_FOLDER = "/srv/mirror/git"
# Commits depend on contents alone: the same tree gives the same pin on every machine.
_GIT = {
    "GIT_AUTHOR_NAME": "lab",
    "GIT_AUTHOR_EMAIL": "lab@comfystack.test",
    "GIT_AUTHOR_DATE": "2025-01-01T00:00:00Z",
    "GIT_COMMITTER_NAME": "lab",
    "GIT_COMMITTER_EMAIL": "lab@comfystack.test",
    "GIT_COMMITTER_DATE": "2025-01-01T00:00:00Z",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "PATH": "/usr/local/bin:/usr/bin:/bin",
}


def _git(*arguments: str, folder: Path) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, env=_GIT, check=True
    )
    return done.stdout.strip()


def _write_if_new(path: Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def _publish(tree: Path, name: str, room: Path) -> str:
    """Makes `tree` the bare repository `room`/git/NAME.git of one commit; returns that commit."""
    bare = room / "git" / f"{name}.git"
    _git("init", "-q", "-b", "master", folder=tree)
    _git("add", "-A", folder=tree)
    _git("commit", "-q", "-m", f"Stand-in for {name}", folder=tree)
    _git("clone", "-q", "--bare", str(tree), str(bare), folder=room)
    # nginx serves plain files: git's "dumb" protocol reads these lists.
    _git("update-server-info", folder=bare)
    return _git("rev-parse", "HEAD", folder=tree)


def serve_sources(mirror: Container, build: Path) -> None:
    """Puts the ComfyUI simulator and its node packs on the mirror as git repositories.

    Their pins go into `build`/sources.lock.yml: the entries of the real lock, at other addresses and commits.
    """
    lock = yaml.safe_load((ROOT / "comfyui" / "sources.lock.yml").read_text())
    simulator = HERE / "comfyui"
    trees = [("ComfyUI", simulator, lock["comfyui"])]
    packs = [node for node in lock["custom_nodes"] if not node.get("optional")]
    trees += [(node["name"], simulator / "packs" / node["name"], node) for node in packs]
    with tempfile.TemporaryDirectory(prefix="comfystack-git-") as folder:
        room = Path(folder)
        for name, source, entry in trees:
            tree = room / "trees" / name
            shutil.copytree(source, tree, ignore=shutil.ignore_patterns("packs", "__pycache__", "*_cache"))
            entry["commit"] = _publish(tree, name, room)
            entry["repository"] = f"http://mirror/git/{name}.git"
        mirror.exec_run(["sh", "-c", f"mkdir -p {_GIT_FOLDER} && rm -rf {_GIT_FOLDER}/*"])
        mirror.put_archive(_GIT_FOLDER, archive((room / "git", ".")).getvalue())
    lock["dependencies"] = dict.fromkeys(lock["dependencies"], str(simulator / "simulator.lock.txt"))
    _write_if_new(build / "sources.lock.yml", yaml.safe_dump(lock, sort_keys=False))


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


def place_models(gpu_host: Container) -> None:
    """What the guest has of its own: a file of its set, those of other sets, and the models of another program."""
    lock = yaml.safe_load((ROOT / "comfyui" / "models.lock.yml").read_text())
    fetched = set(lock["sets"][_SET]) - {_THERE_BEFORE}
    entries = [entry for key, entry in lock["files"].items() if key not in fetched]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        _room(tar, MODELS_FOLDER, None)
        for folder in sorted({entry["folder"] for entry in entries}):
            _room(tar, f"{MODELS_FOLDER}/{folder}", None)
        for entry in entries:
            _room(tar, f"{MODELS_FOLDER}/{entry['folder']}/{entry['name']}", _stand_in(entry["name"]))
        for folder, name in _SHARED.items():
            _room(tar, f"{SHARED_FOLDER}/{folder}", None)
            _room(tar, f"{SHARED_FOLDER}/{folder}/{name}", _stand_in(name))
    gpu_host.put_archive("/", buffer.getvalue())


def serve_models(mirror: Container, build: Path) -> None:
    """Stand-ins for every locked model file on the mirror, at the sources' paths, and their lock in `build`."""
    lock = yaml.safe_load((ROOT / "comfyui" / "models.lock.yml").read_text())
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for entry in lock["files"].values():
            content = _stand_in(entry["name"])
            digest = hashlib.sha256(content).hexdigest()
            entry.update(bytes=len(content), sha256=digest, verified="lab stand-in")
            path = f"{urlsplit(entry['source']).path}/resolve/{entry['revision']}/{entry['path']}"
            info = tarfile.TarInfo(f"{_MODELS_SERVED}{path}".lstrip("/"))
            info.size, info.mode = len(content), 0o644
            tar.addfile(info, io.BytesIO(content))
    mirror.put_archive("/", buffer.getvalue())
    _write_if_new(build / "models.lock.yml", yaml.safe_dump(lock, sort_keys=False))
