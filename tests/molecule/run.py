"""The molecule scenarios, one after the other, on labs of their own that are gone afterwards.

usage: python -m tests.molecule.run [SCENARIO…]     without a name, all of them

All of them together must have executed every task and every handler of the roles.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from . import executed
from .names import HERE, ROOT, lab_name, scenarios

BUILD = ROOT / "build" / "molecule"


def record(scenario: str) -> Path:
    """Where the callback writes what the scenario executed."""
    return BUILD / f"{scenario}.executed"


def environment(scenario: str) -> dict[str, str]:
    """What molecule is to run with: this checkout's tools, and a folder below build/ for what it generates."""
    # Ports and cards that somebody chose for a lab of their own are not for these.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LAB_")}
    return {
        **kept,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "MOLECULE_EPHEMERAL_DIRECTORY": str(BUILD / scenario),
        # Just this one: molecule otherwise complains, as CRITICAL, that none is called `default`.
        "MOLECULE_GLOB": f"molecule/{scenario}/molecule.yml",
        # Frames around Ansible's output break its lines.
        "MOLECULE_COMMAND_BORDERS": "false",
        "COMFYSTACK_EXECUTED": str(record(scenario)),
    }


def molecule(action: str, scenario: str, *options: str) -> bool:
    """Whether `molecule ACTION` went well for one scenario; what it prints goes straight to the terminal."""
    base = str(HERE / "shared" / "base.yml")
    command = ["molecule", "--base-config", base, action, "--scenario-name", scenario, *options]
    return subprocess.run(command, cwd=HERE.parent, env=environment(scenario), check=False).returncode == 0


def run(names: list[str]) -> dict[str, tuple[bool, float]]:
    """For each scenario: whether it passed, and the seconds it took. No lab is left, whatever happens."""
    results = {}
    try:
        for name in names:
            begin = time.monotonic()
            print(f"\n=== molecule: {name} (LAB_NAME={lab_name(name)})", flush=True)
            record(name).unlink(missing_ok=True)
            # The labs go together at the end: the images that they share would be built anew for each.
            passed = molecule("destroy", name) and molecule("test", name, "--destroy", "never")
            results[name] = passed, time.monotonic() - begin
    finally:
        print("\n=== molecule: the labs are taken down", flush=True)
        left = [name for name in names if not molecule("destroy", name)]
    for name in left:
        results[name] = False, results[name][1]
    return results


def main(wanted: list[str]) -> int:
    """Runs the named scenarios. Returns 0 when all passed, 1 when one did not, 2 for an unknown name."""
    unknown = sorted(set(wanted) - set(scenarios()))
    if unknown:
        print(f"found: {', '.join(unknown)}\nexpected: {', '.join(scenarios())}", file=sys.stderr)
        return 2
    try:
        results = run(wanted or scenarios())
    except KeyboardInterrupt:
        print("interrupted; what is left of the labs goes with the next run", file=sys.stderr)
        return 130
    print("\n=== molecule: summary")
    for name, (passed, seconds) in results.items():
        print(f"{name:14} {'passed' if passed else 'FAILED'} {seconds:7.1f} s")
    passed = all(passed for passed, _ in results.values())
    if passed and not wanted:
        try:
            passed, words = executed.report(ROOT / "roles", [record(name) for name in results])
        except executed.CountError as error:
            passed, words = False, str(error)
        print(words)
    return 0 if passed else 1


if __name__ == "__main__":
    # Being told to stop, too, ends in `finally`.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main(sys.argv[1:]))
