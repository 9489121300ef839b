"""The lab's images, built from the folders beside this file."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import docker
from docker.errors import BuildError

from .console import LabError, say
from .names import Names

HERE = Path(__file__).resolve().parent
# Folders of the Docker build contexts, by the container they are for.
PARTS = {
    "gpu-host": "gpu_host",
    "windows-host": "windows_host",
    "mirror": "mirror",
    "registry": "registry",
    "acme": "acme",
}


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leaves caches out, and times and owners: the build cache must depend on contents alone."""
    if "__pycache__" in info.name:
        return None
    info.mtime, info.uid, info.gid, info.uname, info.gname = 0, 0, 0, "", ""
    return info


def archive(*trees: tuple[Path, str]) -> io.BytesIO:
    """An uncompressed tar of each (folder, name inside) pair, reproducible byte for byte."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder, inside in trees:
            for path in sorted([folder, *folder.rglob("*")]):
                tar.add(
                    path, arcname=str(Path(inside) / path.relative_to(folder)), recursive=False, filter=_plain
                )
    buffer.seek(0)
    return buffer


def build(
    client: docker.DockerClient,
    names: Names,
    part: str,
    base: str,
    *extra: tuple[Path, str],
    plain: bool = False,
) -> str:
    """Image id of one part, built where its contents changed. `extra` adds folders to the build context.

    `plain` is for the GPU host: a guest as it comes out of an import.
    """
    say(f"image of {part}")
    tag = names.image(part)
    try:
        image, _ = client.images.build(
            fileobj=archive((HERE / PARTS[part], "."), *extra),
            custom_context=True,
            tag=tag,
            buildargs={"BASE": base, **({"PLAIN": "1"} if plain else {})},
            labels=names.labels,
            rm=True,
            forcerm=True,
        )
    except BuildError as error:
        log = "".join(str(line.get("stream") or line.get("error") or "") for line in error.build_log)
        raise LabError(
            found=f"the image of {part} did not build; its last lines:\n{log.strip()[-1500:]}",
            expected="a build that ends well",
            next_step="most often the package source cannot be reached: repair that and run again",
        ) from error
    return str(image.id)
