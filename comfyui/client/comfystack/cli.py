"""The command `comfystack`. Its exit codes are listed in the help text and in README.md."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from . import __version__
from .commands import batch, doctor, grid, making, queue, service, tokens, validate
from .errors import ComfyError, InputError
from .iis_lint import command as iis_lint
from .models import command as models
from .telling import error_document
from .workflow import command as workflow

INTERRUPTED = 128 + signal.SIGINT
# 128 and SIGPIPE's number, which Windows has no name for.
UNREAD = 141

_EXIT_CODES = """\
exit codes:
    0  it is done; a picture asked for is written
    1  `doctor` or `validate` found something, or some pictures of a `batch` failed
    2  wrong arguments, settings or files; nothing was sent
    3  the token was refused or is missing
    4  the workflow is wrong, or the server refused it or the upload (model missing, too large, ...)
    5  a node failed while the job ran
    6  the job was interrupted or deleted on the server
    7  the job took longer than --timeout and has been cancelled
    8  the service cannot be reached, went away, asks to wait (429), or answers like something else
    9  the TLS connection cannot be trusted
   10  a model file is not what the models lock says; none such got its name from us
  130  Ctrl-C; the job has been cancelled (143 after SIGTERM, 141 where nobody reads the output any more)
"""


class _Parser(argparse.ArgumentParser):
    """Tells wrong arguments as every other error is told."""

    def error(self, message: str) -> NoReturn:
        raise InputError(message, self.format_usage().removeprefix("usage: "), f"`{self.prog} --help`")


def _parser() -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = _Parser(
        prog="comfystack",
        description="Talk to a ComfyStack image-editing service.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"comfystack {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    making.add_to(commands, _EXIT_CODES)
    batch.add_to(commands)
    grid.add_to(commands)
    queue.add_to(commands)
    doctor.add_to(commands)
    validate.add_to(commands)
    tokens.add_to(commands)
    lint = "look for what IIS would refuse or get wrong in a web.config; exit code 2 where there is something"
    iis_lint.add(commands.add_parser("iis-lint", help=lint, description=lint.capitalize()))
    models.add_to(commands)
    workflow.add_to(commands, service.connect, service.add_arguments)
    return parser


def _terminated(_signal: int, _frame: FrameType | None) -> NoReturn:
    # Goes the way of Ctrl-C, so that a job does not run on for a client that was stopped.
    raise SystemExit(128 + signal.SIGTERM)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the return value is the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    signal.signal(signal.SIGTERM, _terminated)
    try:
        args = _parser().parse_args(words)
        args.action(args)
    except ComfyError as error:
        if "--json" in words:
            print(json.dumps(error_document(error), ensure_ascii=False))
            return error.exit_code
        print(f"comfystack: {error.found}", file=sys.stderr)
        print(f"  expected:  {error.expected}\n  next step: {error.next_step}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt as stop:
        print("\n".join(["comfystack: stopped", *getattr(stop, "__notes__", ())]), file=sys.stderr)
        return INTERRUPTED
    return 0


def entry() -> NoReturn:
    """The console script."""
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read along has enough, as `head` has; what is left to say goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = UNREAD
    sys.exit(code)


if __name__ == "__main__":
    entry()
