"""Locks the Python packages of the image, each with the hashes of its files.

usage: python comfyui/image/lock.py NAME [SOURCES_LOCK]

Resolves what the sources of SOURCES_LOCK ask for (each one's requirements.txt at its commit) together with
dependencies/NAME.in, for the image's Python, and writes dependencies/NAME.lock.txt. NAME may be a path.
In the environment, COMFYUI_SOURCE names another repository of ComfyUI, or a clone in a folder with the custom nodes'
clones in its custom_nodes/; LOCK_COMMIT is another commit of ComfyUI; LOCK_NODES names optional custom nodes
that are to be in it.
Which package index is asked is uv's to know: UV_DEFAULT_INDEX or a uv.toml. It is never written into the lock.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
SOURCES = HERE.parent / "sources.lock.yml"
# Debian trixie's, on which the image stands.
PYTHON, PLATFORM = "3.13", "x86_64-manylinux_2_40"


class LockError(Exception):
    """What stands in the way; the text has found, expected and next step."""


def _run(command: list[str], expected: str, next_step: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = done.stderr.strip()[-1500:]
        raise LockError(f"found: {last}\nexpected: {expected}\nnext step: {next_step}")
    return done.stdout


def source(name: str, entry: Mapping[str, Any], environment: Mapping[str, str]) -> str:
    """Address or folder of one source's repository; `name` is ComfyUI or a custom node's."""
    given = environment.get("COMFYUI_SOURCE", "")
    if given and name == "ComfyUI":
        return given
    clone = Path(given) / "custom_nodes" / name
    return str(clone) if given and clone.is_dir() else str(entry["repository"])


def requirements(repository: str, commit: str, room: Path) -> str:
    """requirements.txt of a repository at a commit, "" where it has none."""
    expected = f"commit {commit} of {repository}"
    if not Path(repository).is_dir():
        for words in (
            ["init", "--quiet", "--bare"],
            ["fetch", "--quiet", "--depth=1", "--filter=blob:none", repository, commit],
            ["config", "remote.origin.url", repository],
            ["config", "remote.origin.promisor", "true"],
        ):
            _run(
                ["git", "-C", str(room), *words],
                expected,
                "make the repository reachable, or name another: COMFYUI_SOURCE=",
            )
        repository = str(room)
    listed = _run(
        ["git", "-C", repository, "ls-tree", "--name-only", commit, "requirements.txt"],
        expected,
        "fetch that commit into the clone, or name another: COMFYUI_SOURCE=",
    )
    if not listed.strip():
        return ""
    return _run(["git", "-C", repository, "show", f"{commit}:requirements.txt"], expected, "as above")


def resolve(inputs: list[Path], target: Path, header: str) -> None:
    """Writes `target`: every package that `inputs` need, at one version, with its hashes."""
    with tempfile.TemporaryDirectory(prefix="comfystack-lock-") as room:
        made = Path(room) / "lock"
        if target.exists():
            # uv keeps the versions that stand there where they still fit: a new commit alone renews nothing else.
            made.write_text(target.read_text())
        command = ["uv", "pip", "compile", "--quiet", "--generate-hashes", "--no-header", "--no-annotate"]
        command += ["--python-version", PYTHON, "--python-platform", PLATFORM, "--only-binary", ":all:"]
        command += ["--output-file", str(made), *map(str, inputs)]
        _run(
            command,
            "one set of packages that fits all of " + ", ".join(one.stem for one in inputs),
            f"change a version in {inputs[0]}, or give uv a package index that has them",
        )
        target.write_text(header + made.read_text())


def main(arguments: list[str]) -> int:
    """Returns 0 where the lock is written, 1 where it could not be, 2 for a call that makes no sense."""
    if not 1 <= len(arguments) <= 2:
        print(__doc__, file=sys.stderr)
        return 2
    wanted = Path(arguments[0])
    lists = (HERE / "dependencies") if wanted.name == str(wanted) else wanted.parent
    torch = lists / f"{wanted.name}.in"
    if not torch.exists():
        names = ", ".join(sorted(path.stem for path in lists.glob("*.in"))) or "nothing"
        print(
            f"found: no {torch}\nexpected: a list of packages; there is {names}\n"
            f"next step: write {torch.name} beside them, or make lock VARIANT= one of them",
            file=sys.stderr,
        )
        return 2
    entries = []
    if len(arguments) == 2:
        lock = yaml.safe_load(Path(arguments[1]).read_text())
        entries = [("ComfyUI", lock["comfyui"])]
        entries[0][1]["commit"] = os.environ.get("LOCK_COMMIT") or lock["comfyui"]["commit"]
        optional = os.environ.get("LOCK_NODES", "").split()
        entries += [
            (node["name"], node)
            for node in lock["custom_nodes"]
            if not node.get("optional") or node["name"] in optional
        ]
    header = f"# Made by `make lock VARIANT={arguments[0]}`. Requirements of:\n"
    try:
        with tempfile.TemporaryDirectory(prefix="comfystack-lock-") as room:
            inputs = [torch]
            for name, entry in entries:
                header += f"#   {name} {entry['commit']}\n"
                folder = Path(room) / name
                folder.mkdir()
                found = requirements(source(name, entry, os.environ), entry["commit"], folder)
                inputs.append(Path(room) / f"{name}.txt")
                inputs[-1].write_text(found)
            header += f"#   {torch.name}\n"
            resolve(inputs, torch.with_name(f"{wanted.name}.lock.txt"), header)
    except LockError as error:
        print(error, file=sys.stderr)
        return 1
    print(torch.with_name(f"{wanted.name}.lock.txt"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
