"""`make test`: every check of the repository, one after the other, and one closing line that counts them.

usage: python -m tests.run [STEP…]     without a step, all of them but `interruption`
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
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


# Deployments that are killed, checked, drifted and taken back: a dozen deployments of their own.
INTERRUPTION = tuple(
    f"tests/e2e/test_{topic}.py" for topic in ("check", "drift", "going_back", "interruption")
)

STEPS: dict[str, tuple[Step, ...]] = {
    "lint": (
        Step("ruff", ("ruff", "check", ".")),
        Step("ruff format", ("ruff", "format", "--check", ".")),
        Step("mypy", ("mypy", "ansible", "inventories", "tests", "comfyui/client", "comfyui/image")),
        Step("yamllint", ("yamllint", "--strict", ".")),
        Step("ansible-lint", ("ansible-lint", "--offline", "--profile", "production")),
        Step("syntax", ("ansible-playbook", "--syntax-check", "-i", "localhost,", "ansible/site.yml")),
        Step("secrets", ("python", "-m", "tests.secret_scan")),
    ),
    "unit": (Step("unit", ("pytest", "tests/unit"), counts=True),),
    "contract": (Step("contract", ("pytest", "tests/contract"), counts=True),),
    "molecule": (Step("molecule", ("python", "-m", "tests.molecule.run")),),
    "e2e": (
        Step(
            "e2e", ("pytest", "tests/e2e", "-x", *(f"--ignore={file}" for file in INTERRUPTION)), counts=True
        ),
    ),
    "interruption": (Step("interruption", ("pytest", *INTERRUPTION, "-x"), counts=True),),
}
# Not seen green as a whole yet: run by name.
BY_NAME = {"interruption"}


def _run(step: Step) -> tuple[int, int]:
    """Passed and failed of one step; what it prints goes straight to the terminal."""
    command = list(step.command)
    report = REPORTS / f"{step.name}.xml"
    if step.counts:
        report.unlink(missing_ok=True)
        command += [f"--junitxml={report}"]
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
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


def main(wanted: list[str]) -> int:
    """Runs the named groups of steps. Returns 0 when everything passed, 1 when not, 2 for an unknown name."""
    unknown = sorted(set(wanted) - set(STEPS))
    if unknown:
        print(f"found: {', '.join(unknown)}\nexpected: {', '.join(STEPS)}", file=sys.stderr)
        return 2
    REPORTS.mkdir(parents=True, exist_ok=True)
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    os.environ.setdefault("ANSIBLE_CONFIG", str(ROOT / "ansible" / "ansible.cfg"))
    passed = failed = 0
    summary = []
    for group in wanted or [name for name in STEPS if name not in BY_NAME]:
        for step in STEPS[group]:
            print(f"\n=== {step.name}", flush=True)
            begin = time.monotonic()
            good, bad = _run(step)
            passed, failed = passed + good, failed + bad
            summary.append(f"{step.name:14} {good:5} passed {bad:4} failed {time.monotonic() - begin:7.1f} s")
    print("\n=== summary")
    print("\n".join(summary))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
