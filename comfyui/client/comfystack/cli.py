"""The command `comfystack`. Its exit codes are listed in the help text and in README.md."""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from . import __version__, graphs, output, settings
from .client import JOB_SECONDS, ComfyClient
from .errors import ComfyError, ExecutionError, InputError
from .iis_lint import command as iis_lint
from .images import png_size, read_image
from .progress import ProgressDisplay
from .workflow import command as workflow

MAX_SEED = 2**64 - 1
MAX_STEPS = 10_000
# Seeds we draw stay exact in ComfyUI's own page, whose numbers are JavaScript's.
DRAWN_SEEDS = 2**53
INTERRUPTED = 128 + signal.SIGINT

_EXIT_CODES = """\
exit codes:
    0  the image is written
    2  wrong arguments, settings or files; nothing was sent
    3  the token was refused or is missing
    4  the workflow is wrong, or the server refused it or the upload (model missing, too large, ...)
    5  a node failed while the job ran
    6  the job was interrupted or deleted on the server
    7  the job took longer than --timeout and has been cancelled
    8  the service cannot be reached, went away, or answers like something else
    9  the TLS connection cannot be trusted
  130  Ctrl-C; the job has been cancelled
"""


def _number(kind: type[int] | type[float], low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = kind(-1)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {low} to {high}")
        return value

    return parse


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="comfystack",
        description="Talk to a ComfyStack image-editing service.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"comfystack {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    edit = commands.add_parser(
        "edit",
        help="change one image by a sentence, with up to two more as references",
        description='Change an image by a sentence; several are "image 1", "image 2" in it.',
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    edit.set_defaults(action=_edit)
    edit.add_argument("images", nargs="+", metavar="IMAGE", type=Path, help="1 to 3 image files")
    edit.add_argument("--prompt", required=True, metavar="TEXT", help="what to change")
    edit.add_argument(
        "--out", required=True, metavar="FILE", type=Path, help="PNG to write (replaced if it is there)"
    )
    edit.add_argument("--workflow", choices=graphs.EDITS, default="edit", help="default: edit")
    edit.add_argument("--seed", type=_number(int, 0, MAX_SEED), metavar="N", help="default: drawn")
    edit.add_argument(
        "--steps", type=_number(int, 1, MAX_STEPS), metavar="N", help="default: the workflow's own"
    )
    edit.add_argument("--quiet", action="store_true", help="no progress")
    _service_arguments(edit)
    lint = "look for what IIS would refuse or get wrong in a web.config; exit code 2 where there is something"
    iis_lint.add(commands.add_parser("iis-lint", help=lint, description=lint.capitalize()))
    workflow.add_to(commands, _connect, _service_arguments)
    return parser


def _service_arguments(parser: argparse.ArgumentParser) -> None:
    where = parser.add_argument_group(
        "the service (a flag wins over its variable, that over the access file)"
    )
    where.add_argument("--url", help=f"public URL [{settings.URL}]")
    where.add_argument(
        "--token-file", metavar="FILE", help=f"file that holds the token [{settings.TOKEN_FILE}]"
    )
    where.add_argument("--ca-file", metavar="FILE", help=f"PEM file of the CAs to trust [{settings.CA_FILE}]")
    where.add_argument(
        "--connect-to",
        metavar="HOST:PORT",
        help=f"connect there, while name and certificate stay those of the URL [{settings.CONNECT_TO}]",
    )
    where.add_argument("--access", metavar="FILE", help=f"access.json of a deployment [{settings.ACCESS}]")
    where.add_argument(
        "--timeout",
        type=_number(float, 0.1, 7 * 86400),
        default=JOB_SECONDS,
        metavar="S",
        help=f"seconds for the whole job, queue included (default {JOB_SECONDS:.0f})",
    )


def _warn(text: str) -> None:
    print(f"comfystack: warning: {text}", file=sys.stderr)


def _connect(args: argparse.Namespace) -> ComfyClient:
    flags = {key: getattr(args, key) for key in ("url", "token_file", "ca_file", "connect_to", "access")}
    found = settings.resolve(flags, os.environ, _warn)
    return ComfyClient(found.url, found.token, found.ca_file, found.connect_to, timeout=args.timeout)


def _edit(args: argparse.Namespace) -> None:
    # Everything that can be known here is checked before anything is sent.
    if not args.prompt.strip():
        raise InputError("the prompt is empty", "a sentence that says what to change", "give --prompt TEXT")
    if len(args.images) > graphs.MAX_IMAGES:
        raise InputError(
            f"{len(args.images)} images are given", f"1 to {graphs.MAX_IMAGES}", "leave some of them out"
        )
    for image in args.images:
        read_image(image)
    output.check_target(args.out)
    if args.out.suffix.lower() != ".png":
        _warn(f"{args.out} will hold a PNG whatever its name says")
    seed = secrets.randbelow(DRAWN_SEEDS) if args.seed is None else args.seed

    with _connect(args) as client, ProgressDisplay(sys.stderr, args.quiet) as display:
        uploaded = [client.upload_image(image) for image in args.images]
        graph = graphs.edit(args.workflow, uploaded, args.prompt, seed, args.steps)
        result = client.run(graph, display.show)
        if not result.images:
            raise ExecutionError(
                "the job ended without an image",
                "an image from the workflow's SaveImage node",
                "run it again",
            )
        content = client.view(result.images[0])
    width, height = png_size(content)
    output.write_atomically(args.out, content)
    steps = graph["sampler"]["inputs"]["steps"]
    print(f"{args.out}: {width}x{height}, seed {seed}, {steps} steps")


def _terminated(_signal: int, _frame: FrameType | None) -> NoReturn:
    # Goes the way of Ctrl-C, so that a job does not run on for a client that was stopped.
    raise SystemExit(128 + signal.SIGTERM)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the return value is the exit code."""
    args = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _terminated)
    try:
        args.action(args)
    except ComfyError as error:
        print(f"comfystack: {error.found}", file=sys.stderr)
        print(f"  expected:  {error.expected}\n  next step: {error.next_step}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt as stop:
        print("\n".join(["comfystack: stopped", *getattr(stop, "__notes__", ())]), file=sys.stderr)
        return INTERRUPTED
    return 0


def entry() -> NoReturn:
    """The console script."""
    sys.exit(main())


if __name__ == "__main__":
    entry()
