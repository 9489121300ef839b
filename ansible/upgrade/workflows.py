"""Whether a ComfyUI takes every shipped workflow, by its own /object_info.

usage: python ansible/upgrade/workflows.py OBJECT_INFO     a file with the JSON that it answered
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from comfystack import graphs
from comfystack.workflow.check import check
from comfystack.workflow.contract import Contract, recorded


def problems(object_info: dict[str, object]) -> list[str]:
    """A line for each thing that a shipped workflow needs and this ComfyUI has not, or has otherwise."""
    # Which model files there are is the deployment's to know, and not the workflows'.
    contract = Contract("the new version", object_info, frozenset(), recorded().lists, has_files=False)  # type: ignore[arg-type]
    return [
        f"workflow {name}, {finding}"
        for name in graphs.names()
        for finding in check(graphs.load(name), contract)
    ]


def main(arguments: list[str]) -> int:
    """Returns 0 where every workflow is taken, else 1 with what is wrong on stdout, 2 for a call without a file."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    found = problems(json.loads(Path(arguments[0]).read_text()))
    print(*found, sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
