"""`python -m tests.molecule.services.lab.offline BUILD`: sources as a site without the internet has them.

Writes two files into the lab's folder BUILD, beside its sources.lock.yml. ComfyUI-GGUF.git.tar: that node's repository,
with the requirements.txt that the lab's own stand-in does without. offline.lock.yml: the same lock, at addresses that
answer nobody.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import yaml

from tests.molecule.names import ROOT

NODE = "ComfyUI-GGUF"
PACK = ROOT / "tests" / "lab" / "comfyui" / "packs" / NODE
REQUIREMENTS = ROOT / "tests" / "lab" / "comfyui" / "requirements.txt"
_WHO = ("-c", "user.name=lab", "-c", "user.email=lab@comfystack.test")


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *_WHO, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def pack(target: Path) -> str:
    """Packs the node's bare repository as the tar file `target`; returns its one commit."""
    with tempfile.TemporaryDirectory(prefix="comfystack-node-") as folder:
        tree, bare = Path(folder) / NODE, Path(folder) / f"{NODE}.git"
        shutil.copytree(PACK, tree)
        # What ComfyUI's stand-in needs anyway: nothing more is downloaded for it.
        shutil.copy(REQUIREMENTS, tree / "requirements.txt")
        _git(tree, "init", "--quiet", "--initial-branch", "master")
        _git(tree, "add", "--all")
        _git(tree, "commit", "--quiet", "--message", f"Stand-in for {NODE}")
        _git(tree, "clone", "--quiet", "--bare", "--template=", str(tree), str(bare))
        with tarfile.open(target, "w") as tar:
            tar.add(bare, bare.name)
        return _git(tree, "rev-parse", "HEAD")


def main(build: Path) -> None:
    commit = pack(build / f"{NODE}.git.tar")
    lock = yaml.safe_load((build / "sources.lock.yml").read_text())
    lock["comfyui"]["repository"] = "https://sources.invalid/ComfyUI.git"
    for node in lock["custom_nodes"]:
        node["repository"] = f"https://sources.invalid/{node['name']}.git"
        node["commit"] = commit if node["name"] == NODE else node["commit"]
    (build / "offline.lock.yml").write_text(yaml.safe_dump(lock, sort_keys=False))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
