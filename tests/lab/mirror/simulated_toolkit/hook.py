"""nvidia-container-runtime-hook: the prestart hook that Docker adds for `--gpus` and device reservations.

runc runs it after the container's mounts are made and before its root is entered, so the hook joins the
container's mount namespace and adds mounts and device nodes under the root directory there.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from .driver import Injection, ToolkitError, find_driver, injection
from .oci import Numbers, device_numbers
from .selection import legacy_cards, requested


def steps(wanted: Injection, root: str, numbers: Numbers = device_numbers) -> list[list[str]]:
    """The commands, in order, that put `wanted` under the container root `root`."""
    commands = []
    for source, destination in wanted.mounts:
        target = root + destination
        if Path(source).is_dir():
            commands.append(["mkdir", "-p", target])
        else:
            commands += [["mkdir", "-p", str(Path(target).parent)], ["touch", target]]
        commands.append(["mount", "--bind", source, target])
        commands.append(["mount", "-o", "remount,bind,ro,nosuid,nodev", target])
    for path in wanted.devices:
        major, minor = numbers(path)
        commands.append(["mknod", "-m", "0666", root + path, "c", str(major), str(minor)])
    return commands


def container_root(bundle: Path, spec: dict[str, Any]) -> str:
    """Absolute path of the container's root; the specification may give it relative to the bundle."""
    return str(bundle / spec["root"]["path"])


def prestart(state: dict[str, Any]) -> None:
    """Injects what the container of this OCI state asks for; ToolkitError where that cannot be had."""
    bundle = Path(state["bundle"])
    spec = json.loads((bundle / "config.json").read_text(encoding="utf-8"))
    ids = requested((spec.get("process") or {}).get("env") or [])
    if not ids:
        return
    driver = find_driver()
    wanted = injection(driver, legacy_cards(driver, ids))
    namespace = f"--mount=/proc/{state['pid']}/ns/mnt"
    for command in steps(wanted, container_root(bundle, spec)):
        done = subprocess.run(["nsenter", namespace, "--", *command], capture_output=True, text=True)
        if done.returncode != 0:
            raise ToolkitError(
                f"nvidia-container-cli: mount error: {' '.join(command)}: {done.stderr.strip()}"
            )


def main(arguments: list[str]) -> int:
    if arguments in (["poststart"], ["poststop"]):
        return 0
    if arguments != ["prestart"]:
        print(f"usage: nvidia-container-runtime-hook prestart (found: {arguments})", file=sys.stderr)
        return 2
    try:
        prestart(json.load(sys.stdin))
    except (ToolkitError, OSError, ValueError, KeyError) as error:
        print(f"Auto-detected mode as 'legacy'\n{error}", file=sys.stderr)
        return 1
    return 0
