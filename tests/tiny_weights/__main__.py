"""`python -m tests.tiny_weights MODELS_DIR`."""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from tests.tiny_weights import content

LOCK = Path(__file__).resolve().parents[2] / "comfyui" / "models.lock.yml"


def main(arguments: list[str]) -> int:
    """Writes every file that has tiny weights. Returns 0, or 2 where the folder is not named."""
    if len(arguments) != 1:
        print("usage: python -m tests.tiny_weights MODELS_DIR", file=sys.stderr)
        return 2
    files: dict[Path, bytes] = {}
    for key, entry in yaml.safe_load(LOCK.read_text())["files"].items():
        data = content(key)
        if data is None:
            continue
        path = Path(arguments[0]) / entry["folder"] / entry["name"]
        files[path] = data
        # All are looked at before the first is written.
        if path.exists() and path.stat().st_size != len(data):
            print(
                f"found: {path} with {path.stat().st_size} bytes\nexpected: no file, or tiny weights\n"
                "next step: name a folder without real weights",
                file=sys.stderr,
            )
            return 2
    for path, data in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        print(f"{path}: {len(data)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
