"""Which service a command talks to, and how a number on the command line is read."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable

from .. import settings
from ..client import JOB_SECONDS, ComfyClient

MAX_SEED = 2**64 - 1
MAX_STEPS = 10_000
# Seeds we draw stay exact in ComfyUI's own page, whose numbers are JavaScript's.
DRAWN_SEEDS = 2**53
FLAGS = ("url", "token_file", "ca_file", "connect_to", "access")


def number(kind: type[int] | type[float], low: float, high: float) -> Callable[[str], float]:
    """An argparse type: a number from `low` to `high`."""

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = kind(-1)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {low} to {high}")
        return value

    return parse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags that say which service, and how long to wait for it."""
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
        type=number(float, 0.1, 7 * 86400),
        default=JOB_SECONDS,
        metavar="S",
        help=f"seconds for the whole job, queue included (default {JOB_SECONDS:.0f})",
    )


def warn(text: str) -> None:
    """A line that does not stop the command."""
    print(f"comfystack: warning: {text}", file=sys.stderr)


def resolved(args: argparse.Namespace) -> settings.Settings:
    """The settings of parsed arguments, of the environment and of the access file."""
    return settings.resolve({key: getattr(args, key) for key in FLAGS}, os.environ, warn)


def connect(args: argparse.Namespace) -> ComfyClient:
    """The client for parsed arguments."""
    found = resolved(args)
    return ComfyClient(found.url, found.token, found.ca_file, found.connect_to, timeout=args.timeout)
