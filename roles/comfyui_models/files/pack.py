"""Packs `comfystack models` into one file that Python runs; the same sources give the same bytes.

usage: pack.py CLIENT TARGET     (the folder comfyui/client, the file to write)
"""

import io
import sys
import zipfile
from pathlib import Path

MAIN = "import sys\n\nfrom comfystack.models.__main__ import main\n\nsys.exit(main())\n"
BESIDE = ("errors.py", "output.py", "telling.py")  # what the package imports of its parent


def main(client: Path, target: Path) -> None:
    """Writes `target`."""
    package = client / "comfystack"
    sources = sorted([*(package / name for name in BESIDE), *package.glob("models/*.py")])
    contents = {str(path.relative_to(client)): path.read_text(encoding="utf-8") for path in sources}
    buffer = io.BytesIO(b"#!/usr/bin/env python3\n")
    buffer.seek(0, io.SEEK_END)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, text in {"__main__.py": MAIN, "comfystack/__init__.py": "", **contents}.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(buffer.getvalue())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
