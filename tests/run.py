"""`make test`: every check of the repository in two lanes, and one closing line that counts them.

usage: python -m tests.run [STEP…]     without a step, all of them
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REPORTS = ROOT / "build" / "test-reports"


@dataclass(frozen=True)
class Step:
    """One command. With `counts`, it is a pytest run whose tests are counted one by one."""

    name: str
    command: tuple[str, ...]
    counts: bool = False


# Killed deployments, a dozen of them, on a lab of their own. On another one updates of the driver, for which WSL
# starts afresh, and so it does for an Ansible that runs in the guest itself; then updates of ComfyUI.
INTERRUPTION = "tests/e2e/test_interruption.py"
UPDATES = ("tests/e2e/test_driver_update.py", "tests/e2e/test_inside.py", "tests/e2e/test_upgrade.py")

STEPS: dict[str, tuple[Step, ...]] = {
    "lint": (
        Step("ruff", ("ruff", "check", ".")),
        Step("ruff format", ("ruff", "format", "--check", ".")),
        Step(
            "mypy",
            (
                "mypy",
                "ansible",
                "inventories",
                "tests",
                "comfyui/client",
                "comfyui/api",
                "comfyui/image",
                "comfyui/notebooks/build.py",
            ),
        ),
        Step("yamllint", ("yamllint", "--strict", ".")),
        Step("ansible-lint", ("ansible-lint", "--offline", "--profile", "production")),
        Step("syntax", ("ansible-playbook", "--syntax-check", "-i", "localhost,", "ansible/site.yml")),
        Step("secrets", ("python", "-m", "tests.secret_scan")),
        Step(
            "workflows",
            (
                *("check-jsonschema", "--builtin-schema", "vendor.github-workflows"),
                *(".github/workflows/ci.yml", ".github/workflows/real-windows.yml"),
            ),
        ),
    ),
    "unit": (Step("unit", ("pytest", "tests/unit"), counts=True),),
    "contract": (Step("contract", ("pytest", "tests/contract"), counts=True),),
    "molecule": (Step("molecule", ("python", "-m", "tests.molecule.run")),),
    "e2e": (
        Step(
            "e2e",
            (
                *("pytest", "-v", "-x", "tests/e2e"),
                *(f"--ignore={file}" for file in (INTERRUPTION, *UPDATES)),
            ),
            counts=True,
        ),
    ),
    "interruption": (
        Step(
            "interruption", ("env", "E2E_PART=interruption", "pytest", "-v", "-x", INTERRUPTION), counts=True
        ),
    ),
    "driver": (Step("driver", ("env", "E2E_PART=driver", "pytest", "-v", "-x", *UPDATES), counts=True),),
}
# Side by side, because a deployment mostly waits. Each lane raises one lab at a time, and both take about as long.
LANES = (("lint", "contract", "e2e", "driver"), ("unit", "molecule", "interruption"))


@dataclass(frozen=True)
class Outcome:
    """How one step ended."""

    step: str
    passed: int
    failed: int
    seconds: float


def _run(step: Step, prefix: str) -> tuple[int, int]:
    """Passed and failed of one step; each line that it prints comes out at once, after `prefix`."""
    command = list(step.command)
    report = REPORTS / f"{step.name}.xml"
    if step.counts:
        report.unlink(missing_ok=True)
        command += [f"--junitxml={report}"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(prefix + line, end="", flush=True)
    code = process.returncode
    if not step.counts:
        return (1, 0) if code == 0 else (0, 1)
    try:
        suites = ElementTree.parse(report).getroot().iter("testsuite")  # noqa: S314 - pytest just wrote it
        keys = ("tests", "failures", "errors", "skipped")
        totals = [tuple(int(suite.get(key, 0)) for key in keys) for suite in suites]
    except (OSError, ElementTree.ParseError):
        return 0, 1
    tests, failures, errors, skipped = (sum(column) for column in zip(*totals, strict=True))
    failed = failures + errors
    # A run that ended badly without a failed test (a crash, nothing collected) is a failure too.
    return tests - failed - skipped, failed or int(code != 0)


def _run_lane(groups: list[str], alone: bool, stopped: threading.Event) -> list[Outcome]:
    outcomes = []
    for step in (step for group in groups for step in STEPS[group]):
        if stopped.is_set():
            break
        print(f"\n=== {step.name}", flush=True)
        begin = time.monotonic()
        passed, failed = _run(step, "" if alone else f"{step.name:12} | ")
        outcomes.append(Outcome(step.name, passed, failed, time.monotonic() - begin))
    return outcomes


def _run_lanes(lanes: list[list[str]]) -> list[Outcome]:
    stopped = threading.Event()
    with ThreadPoolExecutor(len(lanes)) as pool:
        try:
            ended = list(pool.map(lambda lane: _run_lane(lane, len(lanes) == 1, stopped), lanes))
        except KeyboardInterrupt:
            # The present steps get the signal as well, and take their labs down; nothing new is begun.
            stopped.set()
            raise
    return [outcome for lane in ended for outcome in lane]


def main(wanted: list[str]) -> int:
    """Runs the named groups of steps. Returns 0 when everything passed, 1 when not, 2 for an unknown name."""
    unknown = sorted(set(wanted) - set(STEPS))
    if unknown:
        print(f"found: {', '.join(unknown)}\nexpected: {', '.join(STEPS)}", file=sys.stderr)
        return 2
    lanes = [[group for group in lane if group in (wanted or STEPS)] for lane in LANES]
    lanes = [lane for lane in lanes if lane]
    REPORTS.mkdir(parents=True, exist_ok=True)
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    # Else Python keeps back what it prints into a pipe, for minutes.
    os.environ["PYTHONUNBUFFERED"] = "1"
    os.environ.setdefault("ANSIBLE_CONFIG", str(ROOT / "ansible" / "ansible.cfg"))
    outcomes = _run_lanes(lanes)
    passed, failed = (sum(getattr(outcome, key) for outcome in outcomes) for key in ("passed", "failed"))
    print("\n=== summary")
    for one in outcomes:
        print(f"{one.step:14} {one.passed:5} passed {one.failed:4} failed {one.seconds:7.1f} s")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
