"""Looks for secrets in all that is committed or could be committed next.

usage: python -m tests.secret_scan [FOLDER]     the repository by default
"""

from __future__ import annotations

import sys
from pathlib import Path

from .scanning import ScanError, allowances, findings

ROOT = Path(__file__).resolve().parents[2]


def main(root: Path) -> int:
    """0 when nothing was found that is not allowed and nothing is allowed in vain, 1 otherwise."""
    try:
        allowed = allowances()
        found = sorted(findings(root), key=str)
    except ScanError as error:
        print(error, file=sys.stderr)
        return 1
    secret = [finding for finding in found if not any(one.covers(finding) for one in allowed)]
    for finding in secret:
        print(finding)
    if secret:
        print(
            "found: what looks like a secret, in the lines above\n"
            "expected: secrets only in a vault, or under build/, which is never committed\n"
            "next step: take it out and, if it was ever pushed, replace it; "
            "what is none gets an entry with its reason in tests/secret_scan/allowed.yml"
        )
    # Only the repository itself uses all of its allowances.
    idle = (
        [one for one in allowed if not any(one.covers(finding) for finding in found)] if root == ROOT else []
    )
    for one in idle:
        print(
            f"found: nothing any more that needs to be allowed: {one}\nnext step: remove it from allowed.yml"
        )
    if secret or idle:
        return 1
    print(f"No secrets; {len(found)} allowed findings")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve() if sys.argv[1:] else ROOT))
