"""`python3 -m comfystack.models`: the command by itself, where the rest of the client is not installed."""

from __future__ import annotations

import argparse
import json
import signal
import sys

from ..errors import ComfyError
from ..telling import error_document
from .command import add_actions


def main() -> int:
    """The exit codes are those of `comfystack`."""
    parser = argparse.ArgumentParser(prog="comfystack models")
    add_actions(parser)
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        args.action(args)
    except ComfyError as error:
        if args.json:
            print(json.dumps(error_document(error), ensure_ascii=False))
        print(f"comfystack: {error.found}", file=sys.stderr)
        print(f"  expected:  {error.expected}\n  next step: {error.next_step}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("comfystack: stopped; the same command goes on from here", file=sys.stderr)
        return 128 + signal.SIGINT
    return 0


if __name__ == "__main__":
    sys.exit(main())
