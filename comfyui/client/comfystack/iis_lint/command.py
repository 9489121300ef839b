"""`comfystack iis-lint FILE…`: the static check of web.config files, for whoever edits one by hand."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ..errors import InputError
from ..telling import add_json, tell
from . import Plan, refusals


def add(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("files", nargs="+", metavar="FILE", type=Path, help="a web.config")
    parser.add_argument(
        "--plan",
        metavar="FILE",
        type=Path,
        help="JSON of what is set at server level; without it, only the files themselves are looked at",
    )
    add_json(parser)
    parser.set_defaults(action=run)


def run(args: argparse.Namespace) -> None:
    """Prints nothing where all is well. Raises InputError with every finding of every file."""
    plan = _plan(args.plan) if args.plan else None
    found = [f"{file}: {line}" for file in args.files for line in refusals(_text(file), plan)]
    if found or args.json:
        tell(args, "\n".join(found), {"findings": found})
    if found:
        raise InputError(
            f"{len(found)} reason(s) not to write {'this file' if len(args.files) == 1 else 'these files'}",
            "a file that IIS reads and a site that serves",
            "each line above says what would happen; docs/gateway.md says why",
        )


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{file} cannot be read: {error}", "a web.config in UTF-8", "name another file"
        ) from None


def _plan(file: Path) -> Plan:
    try:
        return Plan(**json.loads(_text(file)))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{file} is no plan: {error}",
            "a JSON object with the fields of comfystack.iis_lint.Plan",
            "leave --plan out to look at the files alone",
        ) from None
