"""Which ComfyUI the lab's mirror has: the simulator, or a real one that somebody names.

LAB_COMFYUI_SOURCE is a git address of ComfyUI, or a folder with a clone that stands at the locked commit; clones of
the custom nodes in its custom_nodes/ are taken as well. LAB_MODELS=tiny goes with it: random weights of a few
megabytes, and a computation on the processor.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from docker.models.containers import Container

from tests import tiny_weights

from .console import LabError, say
from .images import HERE, archive
from .names import ROOT

_GIT_FOLDER = "/srv/mirror/git"
_LOCK = ROOT / "comfyui" / "sources.lock.yml"
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


@dataclass(frozen=True)
class Choice:
    """The lab's ComfyUI. `source`: a git address or a folder, "" for the simulator."""

    source: str = ""

    @property
    def real(self) -> bool:
        """Whether it is a real ComfyUI, on tiny weights and the processor."""
        return bool(self.source)

    def settings(self) -> dict[str, Any]:
        """What the inventory has to say of the guest, beyond what it says of the simulator's."""
        if not self.real:
            return {}
        lock = yaml.safe_load(_LOCK.read_text())
        nodes = [node["name"] for node in lock["custom_nodes"] if not node.get("optional")]
        return {"gpu_pin_mode": "cpu", "comfyui_image_custom_nodes": [*nodes, tiny_weights.NODE_NAME]}


def choose(environment: Mapping[str, str]) -> Choice:
    """The choice of this call. Raises LabError where the two settings do not go together."""
    source, models = environment.get("LAB_COMFYUI_SOURCE", ""), environment.get("LAB_MODELS", "")
    if models not in ("", "tiny") or bool(source) != bool(models):
        raise LabError(
            found=f"COMFYUI_SOURCE={source!r} and MODELS={models!r}",
            expected="both or neither: a git address or a folder, and MODELS=tiny",
            next_step="make deploy COMFYUI_SOURCE=<git url or folder> MODELS=tiny",
        )
    return Choice(source)


def serve(mirror: Container, build: Path, choice: Choice) -> None:
    """Puts the chosen ComfyUI and its node packs on the mirror as git repositories.

    Their pins go into `build`/sources.lock.yml: the entries of the real lock, at other addresses and commits.
    """
    lock = yaml.safe_load(_LOCK.read_text())
    with tempfile.TemporaryDirectory(prefix="comfystack-git-") as folder:
        room = Path(folder)
        (real if choice.real else simulated)(lock, choice.source, room)
        mirror.exec_run(["sh", "-c", f"mkdir -p {_GIT_FOLDER} && rm -rf {_GIT_FOLDER}/*"])
        if (room / "git").exists():
            mirror.put_archive(_GIT_FOLDER, archive((room / "git", ".")).getvalue())
    path, text = build / "sources.lock.yml", yaml.safe_dump(lock, sort_keys=False)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def simulated(lock: dict[str, Any], _: str, room: Path) -> None:
    """Publishes the simulator and its packs below `room`, and pins them in `lock`."""
    simulator = HERE / "comfyui"
    packs = [node for node in lock["custom_nodes"] if not node.get("optional")]
    trees = [("ComfyUI", simulator, lock["comfyui"])]
    trees += [(node["name"], simulator / "packs" / node["name"], node) for node in packs]
    for name, source, entry in trees:
        tree = room / "trees" / name
        shutil.copytree(source, tree, ignore=shutil.ignore_patterns("packs", "__pycache__", "*_cache"))
        _publish(entry, tree, name, room)
    lock["dependencies"] = dict.fromkeys(lock["dependencies"], str(simulator / "simulator.lock.txt"))


def real(lock: dict[str, Any], source: str, room: Path) -> None:
    """Pins a real ComfyUI in `lock`; what is a clone in a folder is published below `room`. Raises LabError."""
    here = Path(source)
    clones = [("ComfyUI", here, lock["comfyui"])] if here.is_dir() else []
    if not clones:
        lock["comfyui"]["repository"] = source
    clones += [
        (node["name"], here / "custom_nodes" / node["name"], node)
        for node in lock["custom_nodes"]
        if (here / "custom_nodes" / node["name"]).is_dir()
    ]
    for name, clone, entry in clones:
        say(f"{name} at {entry['commit'][:12]} from {clone}")
        tree = room / "trees" / name
        _take(clone, entry["commit"], tree)
        _publish(entry, tree, name, room)
    node: dict[str, Any] = {"name": tiny_weights.NODE_NAME, "classes": []}
    node |= {"licence": "Apache-2.0", "reason": "shrinks Qwen's networks to the tiny weights"}
    tree = room / "trees" / tiny_weights.NODE_NAME
    shutil.copytree(tiny_weights.CUSTOM_NODE, tree, ignore=shutil.ignore_patterns("__pycache__"))
    _publish(node, tree, tiny_weights.NODE_NAME, room)
    lock["custom_nodes"].append(node)
    for version, path in lock["dependencies"].items():
        lock["dependencies"][version] = str(_LOCK.parent / path)


def _git(*arguments: str, folder: Path) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, env=_GIT, check=True
    )
    return done.stdout.strip()


def _take(clone: Path, commit: str, tree: Path) -> None:
    """Copies what a clone has checked out, which must be exactly `commit`, to `tree`.

    The files and not git's objects: a snapshot that lacks a large file which nothing here reads can be checked out
    without it (`git update-index --skip-worktree`), and still be this commit.
    """
    try:
        head = _git("rev-parse", "HEAD", folder=clone)
        changed = _git("status", "--porcelain", "--untracked-files=no", folder=clone)
        listed = _git("ls-files", "-t", "-z", folder=clone).split("\0")
    except subprocess.CalledProcessError as error:
        raise LabError(
            found=f"{clone}: {error.stderr.strip()}",
            expected=f"a git clone that stands at {commit}",
            next_step="name another folder, or a git address",
        ) from error
    if head != commit or changed:
        raise LabError(
            found=f"{clone} at {head}{', with changes: ' + changed if changed else ''}",
            expected=f"the locked commit {commit}, unchanged",
            next_step=f"git -C {clone} checkout {commit}",
        )
    for state, path in ((entry[:1], entry[2:]) for entry in listed if entry):
        if state == "S":
            say(f"{clone.name}: left out, as it is not checked out: {path}")
            continue
        target = tree / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(clone / path, target, follow_symlinks=False)


def _publish(entry: dict[str, Any], tree: Path, name: str, room: Path) -> None:
    """Makes `tree` the bare repository `room`/git/NAME.git of one commit, and pins `entry` to it."""
    bare = room / "git" / f"{name}.git"
    _git("init", "-q", "-b", "master", folder=tree)
    # Also what the tree's own .gitignore names: it was part of the original.
    _git("add", "--all", "--force", folder=tree)
    _git("commit", "-q", "-m", f"Stand-in for {name}", folder=tree)
    _git("clone", "-q", "--bare", str(tree), str(bare), folder=room)
    # nginx serves plain files: git's "dumb" protocol reads these lists.
    _git("update-server-info", folder=bare)
    entry["commit"] = _git("rev-parse", "HEAD", folder=tree)
    entry["repository"] = f"http://mirror/git/{name}.git"
