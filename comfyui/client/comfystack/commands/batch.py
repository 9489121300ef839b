"""`comfystack batch`: many pictures from a table or a folder, begun again where it was stopped."""

from __future__ import annotations

import argparse
import csv
import json
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import graphs, output
from ..client import ComfyClient
from ..errors import (
    AuthenticationError,
    ComfyError,
    InputError,
    ServerGoneError,
    TlsError,
    printable,
)
from ..images import png_size, suffix_of
from ..progress import ProgressDisplay
from ..telling import add_json, tell
from . import service
from .making import Commands, picture
from .values import Job, job, pairs, with_seed

RECORD = "batch.jsonl"
LARGEST = 10_000  # rows; more is a mistake, or a case for several tables
# What the next picture would meet as well.
_ENDS_IT = (AuthenticationError, ServerGoneError, TlsError)


@dataclass(frozen=True)
class Row:
    """One picture of a batch and the file it becomes."""

    name: str
    job: Job
    key: str


def add_to(commands: Commands[argparse.ArgumentParser]) -> None:
    """The command `batch`."""
    text = "make many pictures: a CSV with one row each, or a folder of images; run again, it continues"
    batch = commands.add_parser("batch", help=text, description=text.capitalize())
    batch.set_defaults(action=_batch)
    batch.add_argument(
        "source",
        type=Path,
        metavar="CSV|FOLDER",
        help="columns are the workflow's parameters, and `name` for the file; a folder's images are image1",
    )
    batch.add_argument("--out-dir", required=True, type=Path, metavar="FOLDER", help="made if it is missing")
    batch.add_argument("--workflow", default="edit", choices=graphs.names(), help="default: edit")
    batch.add_argument("--prompt", metavar="TEXT", help="the same as --set prompt=TEXT")
    batch.add_argument(
        "--set",
        action="append",
        default=[],
        dest="values",
        metavar="PARAMETER=VALUE",
        help="for every picture whose row says nothing else; may be given again",
    )
    batch.add_argument("--quiet", action="store_true", help="no progress")
    add_json(batch)
    service.add_arguments(batch)


def _batch(args: argparse.Namespace) -> None:
    common = pairs(args.values, "--set")
    if args.prompt is not None:
        common["prompt"] = args.prompt
    rows = read_rows(args.source, args.workflow, common)
    try:
        args.out_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{args.out_dir} cannot be made: {error.strerror}", "a folder", "correct --out-dir"
        ) from None
    record = Record(args.out_dir / RECORD)
    open_rows = [row for row in rows if not record.is_done(row, args.out_dir)]
    skipped, failed = len(rows) - len(open_rows), 0
    with service.connect(args) as client, ProgressDisplay(sys.stderr, args.quiet) as display:
        for number, row in enumerate(open_rows, start=skipped + 1):
            display.prefix = f"{number}/{len(rows)} {row.name}: "
            try:
                _make(client, row, record, args.out_dir, display)
            except _ENDS_IT:
                raise
            except ComfyError as error:
                failed += 1
                record.write(row, "failed", error=str(error))
                service.warn(f"{row.name}: {error.found}")
    made = len(open_rows) - failed
    document = {"made": made, "there_before": skipped, "failed": failed, "record": str(record.path)}
    if failed:
        raise ComfyError(
            f"{failed} of {len(rows)} pictures failed; {made} made, {skipped} there before ({record.path})",
            "every picture made",
            "correct what the warnings name, and run the same command again: only what is missing is made",
        )
    tell(args, f"{args.out_dir}: {made} pictures made, {skipped} there before", document)


def _make(client: ComfyClient, row: Row, record: Record, folder: Path, display: ProgressDisplay) -> None:
    # The id is on disk before the job is sent: a batch that was killed finds its job again.
    prompt_id = record.sent(row) or str(uuid.uuid4())
    record.write(row, "sent", prompt_id=prompt_id)
    graph = with_seed(row.job, int(row.key[:13], 16)).graph(client)
    content = picture(client, graph, display.show, prompt_id)
    png_size(content)
    output.write_atomically(folder / f"{row.name}.png", content)
    record.write(row, "done")


class Record:
    """What happened to each picture, a JSON line each, in the batch's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._last: dict[str, dict[str, Any]] = {}
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    entry = json.loads(line)
                    self._last[str(entry["key"])] = entry
                except (ValueError, KeyError, TypeError):
                    continue  # The last line of a batch that was killed while it wrote.

    def is_done(self, row: Row, folder: Path) -> bool:
        """Made before, and its file is still there."""
        state = self._last.get(row.key, {}).get("state")
        return state == "done" and (folder / f"{row.name}.png").is_file()

    def sent(self, row: Row) -> str | None:
        """The id under which the job of a stopped batch may still be on the server."""
        entry = self._last.get(row.key, {})
        return str(entry["prompt_id"]) if entry.get("state") == "sent" else None

    def write(self, row: Row, state: str, **more: str) -> None:
        """Adds a line."""
        entry = {"key": row.key, "name": row.name, "state": state, **more}
        self._last[row.key] = entry
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry, ensure_ascii=False) + "\n")
        except OSError as error:
            raise InputError(
                f"{self.path} cannot be written: {error.strerror}", "a writable folder", "correct --out-dir"
            ) from None


def read_rows(source: Path, workflow: str, common: dict[str, str]) -> list[Row]:
    """Every picture of a batch, all of them checked. InputError names the row that is wrong."""
    rows: list[Row] = []
    for number, (name, values, folder) in enumerate(_given(source), start=1):
        try:
            one = job(workflow, {**common, **values}, folder)
            name = _checked_name(name or f"{number:04}", {row.name for row in rows})
        except InputError as error:
            raise InputError(
                f"{source}, picture {number}: {error.found}", error.expected, error.next_step
            ) from None
        rows.append(Row(name, one, one.key))
    if not rows:
        raise InputError(f"{source} has no pictures", "rows below the header, or images", "name another one")
    return rows


def _given(source: Path) -> list[tuple[str, dict[str, str], Path]]:
    if source.is_dir():
        files = sorted(path for path in source.iterdir() if path.is_file() and _is_image(path))
        return [(path.stem, {"image1": path.name}, source) for path in files]
    try:
        with source.open(encoding="utf-8-sig", newline="") as file:
            table = list(csv.DictReader(file, strict=True))
    except OSError as error:
        raise InputError(
            f"{source} cannot be read: {error.strerror}", "a CSV or a folder", "correct the path"
        ) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{source} is no CSV: {printable(str(error))}", "a CSV in UTF-8 with a header", "save it as such"
        ) from None
    if len(table) > LARGEST:
        raise InputError(f"{source} has {len(table)} rows", f"at most {LARGEST}", "divide it")
    given = []
    for number, line in enumerate(table, start=1):
        if None in line or None in line.values():
            raise InputError(
                f"{source}, picture {number} has another number of fields than the header",
                "a field for each column",
                "put texts with commas into double quotes",
            )
        values = {key: value for key, value in line.items() if value != "" and key != "name"}
        given.append((line.get("name", ""), values, source.parent))
    return given


def _is_image(path: Path) -> bool:
    with path.open("rb") as file:
        return suffix_of(file.read(64)) is not None


def _checked_name(name: str, taken: set[str]) -> str:
    plain = name.replace("-", "").replace("_", "").replace(".", "").replace(" ", "")
    if not plain.isalnum() or name.startswith(".") or len(name) > 100:
        raise InputError(
            f"the name {name!r}",
            "letters, digits, spaces and . _ - (at most 100)",
            "correct the column `name`",
        )
    if name in taken:
        raise InputError(f"the name {name!r} a second time", "a name for each picture", "correct `name`")
    return name
