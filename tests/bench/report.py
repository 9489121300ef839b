"""What a run leaves: a table on the terminal, `bench.json` for scripts and `bench.md` for people."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

from .rows import Row

Measured = Mapping[str, Sequence[Row]]
_BAR = 40  # characters of a bar that stands at its limit


def machine() -> dict[str, str | int]:
    """Where the figures come from; without it nobody can compare them."""
    return {
        "measured": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "system": f"{platform.system()} {platform.release()}",
        "cores": os.cpu_count() or 0,
        "load at the end": f"{os.getloadavg()[0]:.1f} over a minute",
        "python": platform.python_version(),
    }


def cells(topic: str, row: Row) -> tuple[str, ...]:
    """One row as text: topic, name, ours, other, ratio, limit, verdict."""
    figures = (f"{row.ours:.3g} {row.unit}", f"{row.other:.3g} {row.unit}")
    verdict = "held" if row.held else "NOT HELD"
    return (topic, row.name, *figures, f"{row.ratio:.3f}", f"{row.limit:g}", verdict)


HEADS = ("topic", "what", "ours", "compared with", "ratio", "limit", "")


def show(measured: Measured, stream: TextIO) -> None:
    """The table, in columns."""
    lines = [HEADS, *(cells(topic, row) for topic, rows in measured.items() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADS))]
    for line in lines:
        padded = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        print("  ".join(padded).rstrip(), file=stream)


def page(measured: Measured) -> str:
    """The same in Markdown, with a bar for each row and the commands that made the figures."""
    lines = ["# Benchmark", "", *(f"- {key}: {value}" for key, value in machine().items()), ""]
    for topic, rows in measured.items():
        lines += [f"## {topic}", "", f"| {' | '.join(HEADS[1:])} |", "|---" * (len(HEADS) - 1) + "|"]
        lines += [f"| {' | '.join(cells(topic, row)[1:])} |" for row in rows]
        lines += ["", "```text", *(_bar(row) for row in rows), "```", ""]
        lines += [
            f"- {row.name}\n  - ours: `{row.commands[0]}`\n  - compared with: `{row.commands[1]}`"
            for row in rows
        ]
        lines.append("")
    return "\n".join(lines)


def _bar(row: Row) -> str:
    """The ratio against its limit, which stands at the `|`."""
    length = min(round(row.ratio / row.limit * _BAR), 2 * _BAR)
    bar = ("#" * length).ljust(_BAR)
    return f"{bar[:_BAR]}|{bar[_BAR:]} {row.name}"


def write(measured: Measured, folder: Path) -> None:
    """`folder`/bench.json and `folder`/bench.md."""
    rows = [{"topic": topic, **row.document()} for topic, rows in measured.items() for row in rows]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bench.json").write_text(json.dumps({"machine": machine(), "rows": rows}, indent=2) + "\n")
    (folder / "bench.md").write_text(page(measured))
