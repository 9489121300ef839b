"""What a command says when it is done: a sentence for a person, or with --json one document for a script."""

from __future__ import annotations

import argparse
import json
from typing import Any

from .errors import ComfyError, ValidationError


def add_json(parser: argparse.ArgumentParser) -> None:
    """The flag --json of a command."""
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of sentences")


def tell(args: argparse.Namespace, text: str, document: Any) -> None:
    """Prints `text`, or `document` where --json asks for it."""
    print(json.dumps(document, ensure_ascii=False) if args.json else text)


def error_document(error: ComfyError) -> dict[str, Any]:
    """An error as --json prints it."""
    document: dict[str, Any] = {
        "type": type(error).__name__,
        "found": error.found,
        "expected": error.expected,
        "next_step": error.next_step,
        "exit_code": error.exit_code,
    }
    if isinstance(error, ValidationError):
        document["problems"] = [vars(problem) for problem in error.problems]
    return {"error": document}
