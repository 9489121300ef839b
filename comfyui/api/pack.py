"""Packs the build context of the service's image, the same bytes for the same contents.

usage: pack.py COMFYUI OUT [CA…]     COMFYUI is the repository's folder comfyui/. Prints `changed` when OUT changed.
"""

from __future__ import annotations

import io
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path


def files(comfyui: Path, authorities: list[Path]) -> Iterator[tuple[str, Path]]:
    """Each file with its name in the context."""
    for name in ("Dockerfile", "requirements.txt", "healthcheck.py"):
        yield name, comfyui / "api" / name
    for folder, inside in (
        (comfyui / "api" / "comfystack_api", "comfystack_api"),
        (comfyui / "client" / "comfystack", "comfystack"),
        (comfyui / "workflows", "workflows"),
    ):
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield f"{inside}/{path.relative_to(folder).as_posix()}", path
    for path in authorities:
        yield f"extra-ca/{path.name}", path


def pack(comfyui: Path, authorities: list[Path]) -> bytes:
    """The tar file's bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        folders: set[str] = {"extra-ca"}
        entries = list(files(comfyui, authorities))
        for name, _ in entries:
            folders |= {parent.as_posix() for parent in Path(name).parents if parent.name}
        for folder in sorted(folders):
            info = tarfile.TarInfo(folder)
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(info)
        for name, path in entries:
            content = path.read_bytes()
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o644
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def main(comfyui: Path, out: Path, authorities: list[Path]) -> None:
    packed = pack(comfyui, authorities)
    if not out.exists() or out.read_bytes() != packed:
        out.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        out.write_bytes(packed)
        print("changed")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), [Path(word) for word in sys.argv[3:]])
