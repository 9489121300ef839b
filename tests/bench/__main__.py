"""Measures the named topics, or all.

usage: python -m tests.bench [TOPIC…]
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Sequence
from pathlib import Path

from . import report, topics
from .rows import Row

FOLDER = Path(__file__).resolve().parents[2] / "build"


def known() -> list[str]:
    """The topics that there are."""
    return sorted(module.name for module in pkgutil.iter_modules(topics.__path__))


def main(wanted: Sequence[str], folder: Path = FOLDER) -> int:
    """0 when every row is within its limit, 1 when one is not, 2 for an unknown topic."""
    unknown = sorted(set(wanted) - set(known()))
    if unknown:
        print(
            f"found: topic {', '.join(unknown)}\nexpected: {', '.join(known())}\nnext step: name one of them",
            file=sys.stderr,
        )
        return 2
    measured: dict[str, list[Row]] = {}
    for topic in wanted or known():
        module = importlib.import_module(f"{topics.__name__}.{topic}")
        print(f"=== {topic}: {str(module.__doc__).splitlines()[0]}", flush=True)
        measured[topic] = []
        for row in module.rows():
            print("  ".join(report.cells(topic, row)[1:]), flush=True)
            measured[topic].append(row)
    print()
    report.show(measured, sys.stdout)
    report.write(measured, folder)
    print(f"\n{folder / 'bench.md'} has the commands; {folder / 'bench.json'} the same for scripts")
    return 0 if all(row.held for rows in measured.values() for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
