"""`comfystack grid`: one workflow at several settings, side by side on one sheet."""

from __future__ import annotations

import argparse
import io
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .. import graphs, output, pictures
from ..errors import InputError
from ..progress import ProgressDisplay
from ..telling import add_json, tell
from . import service
from .making import GENERATING, Commands, drawn_seed, picture
from .values import Job, job, pairs, with_seed

if TYPE_CHECKING:
    from PIL.Image import Image

LARGEST = 64  # pictures on one sheet
CELL = 384  # longest side of a picture on the sheet, in pixels
MARGIN, LABEL = 12, 28  # pixels


def add_to(commands: Commands[argparse.ArgumentParser]) -> None:
    """The command `grid`."""
    text = "compare settings: one picture for each combination, on one sheet"
    grid = commands.add_parser("grid", help=text, description=text.capitalize())
    grid.set_defaults(action=_grid)
    grid.add_argument("--workflow", default=GENERATING[0], choices=graphs.names())
    grid.add_argument(
        "--vary",
        action="append",
        required=True,
        metavar="PARAMETER=A|B|…",
        help="once for columns, twice for columns and rows",
    )
    grid.add_argument("--set", action="append", default=[], dest="values", metavar="PARAMETER=VALUE")
    grid.add_argument("--prompt", metavar="TEXT", help="the same as --set prompt=TEXT")
    grid.add_argument("--out", required=True, type=Path, metavar="FILE", help="PNG to write")
    grid.add_argument("--quiet", action="store_true", help="no progress")
    add_json(grid)
    service.add_arguments(grid)


def _grid(args: argparse.Namespace) -> None:
    pictures.needed()
    output.check_target(args.out)
    axes = {name: text.split("|") for name, text in pairs(args.vary, "--vary").items()}
    size = 1
    for values in axes.values():
        size *= len(values)
    if len(axes) > 2 or size > LARGEST:
        raise InputError(
            f"{len(axes)} settings to vary, {size} pictures",
            f"1 or 2 settings, {LARGEST} pictures",
            "vary less",
        )
    common = pairs(args.values, "--set")
    if args.prompt is not None:
        common["prompt"] = args.prompt
    jobs = jobs_of(args.workflow, common, axes)
    contents: list[bytes] = []
    with service.connect(args) as client, ProgressDisplay(sys.stderr, args.quiet) as display:
        for number, one in enumerate(jobs, start=1):
            display.prefix = f"{number}/{size} "
            contents.append(picture(client, one.graph(client), display.show))
    sheet = draw(contents, list(axes.items()))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    output.write_atomically(args.out, buffer.getvalue())
    tell(
        args,
        f"{args.out}: {size} pictures, seed {jobs[0].values.get('seed')}",
        {"file": str(args.out), "pictures": [dict(one.values) for one in jobs]},
    )


def jobs_of(workflow: str, common: dict[str, str], axes: dict[str, list[str]]) -> list[Job]:
    """The jobs row by row: the first axis runs across, the second down. One seed, so that nothing else differs."""
    names = list(axes)
    seed = drawn_seed()
    jobs = []
    for values in itertools.product(*(axes[name] for name in reversed(names))):
        varied = dict(zip(reversed(names), values, strict=True))
        jobs.append(with_seed(job(workflow, {**common, **varied}), seed))
    return jobs


def draw(contents: Sequence[bytes], axes: Sequence[tuple[str, Sequence[str]]]) -> Image:
    """The contact sheet: columns and rows are labelled with their values."""
    from PIL import Image, ImageDraw, ImageFont

    cells = []
    for content in contents:
        one = pictures.opened(content)
        one.thumbnail((CELL, CELL))
        cells.append(one)
    columns = axes[0][1]
    rows = axes[1][1] if len(axes) > 1 else [""]
    font = ImageFont.load_default(15)
    ruler = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    row_texts = [_label(axes[1][0], value) if len(axes) > 1 else "" for value in rows]
    left = int(max(ruler.textlength(text, font) for text in row_texts)) + MARGIN
    width, height = max(one.width for one in cells), max(one.height for one in cells)
    size = (
        left + MARGIN + len(columns) * (width + MARGIN),
        LABEL + MARGIN + len(rows) * (height + MARGIN),
    )
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)
    for place, one in enumerate(cells):
        row, column = divmod(place, len(columns))
        x, y = left + MARGIN + column * (width + MARGIN), LABEL + row * (height + MARGIN)
        sheet.paste(one, (x, y))
        if row == 0:
            pen.text((x, 6), _label(axes[0][0], columns[column]), "black", font)
        if column == 0:
            pen.text((MARGIN, y + height // 2), row_texts[row], "black", font)
    return sheet


def _label(name: str, value: str) -> str:
    return f"{name} {value if len(value) <= 40 else value[:39] + '…'}"
