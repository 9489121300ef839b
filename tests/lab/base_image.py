"""The image everything else stands on: Debian trixie slim, pulled where a registry answers, else made here.

Both ways end in the same tag, so that there is one path afterwards.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import docker
from docker.errors import APIError, DockerException, ImageNotFound

from .console import LabError, say
from .engine import as_root, install_packages
from .names import LABEL

SUITE = "trixie"
UPSTREAM = f"debian:{SUITE}-slim"
PLAIN = f"comfystack-lab/debian:{SUITE}-slim"
BASE = "comfystack-lab/base:latest"
SHARED = {LABEL: "shared"}
# Where an administrator puts a company's own authorities on Debian and Ubuntu.
EXTRA_CA_FOLDER = Path("/usr/local/share/ca-certificates")

# What makes Debian's own slim image slim.
_SLIM = (
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/info/*",
)


def extra_ca_certificates() -> list[Path]:
    """Certificate files of authorities that this machine trusts beyond the distribution's."""
    return sorted(EXTRA_CA_FOLDER.rglob("*.crt"))


def _pull(client: docker.DockerClient) -> bool:
    had_it = bool(client.images.list(name=UPSTREAM))
    try:
        image = client.images.pull("debian", f"{SUITE}-slim")
    except (APIError, DockerException):
        return False
    image.tag(PLAIN)
    if not had_it:
        # Ours under one name only, so that taking the last lab down leaves none.
        client.images.remove(UPSTREAM, noprune=True)
    return True


def _bootstrap(client: docker.DockerClient) -> None:
    needed = [name for name in ("mmdebstrap",) if not shutil.which(name)]
    keyring = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    if not keyring.exists():
        needed.append("debian-archive-keyring")
    if needed:
        install_packages(*needed)
    with tempfile.TemporaryDirectory(prefix="comfystack-base-") as room:
        root_fs = Path(room) / "rootfs.tar"
        command = ["mmdebstrap", "--variant=minbase", f"--keyring={keyring}"]
        command += [f"--dpkgopt={option}" for option in _SLIM]
        command += [SUITE, str(root_fs)]
        done = subprocess.run(as_root(command), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise LabError(
                found=f"no registry gave {UPSTREAM}, and mmdebstrap failed: {done.stderr.strip()[-600:]}",
                expected=f"a base image of Debian {SUITE} from one of the two",
                next_step="give this machine access to a container registry or to Debian's packages",
            )
        repository, tag = PLAIN.split(":")
        client.api.import_image_from_file(
            str(root_fs), repository=repository, tag=tag, changes=['CMD ["bash"]']
        )


def _context(certificates: list[Path]) -> io.BytesIO:
    dockerfile = "\n".join(
        (
            f"FROM {PLAIN}",
            "COPY extra-ca/ /usr/local/share/ca-certificates/",
            "RUN apt-get update -q \\",
            " && apt-get install -qy --no-install-recommends ca-certificates \\",
            " && update-ca-certificates && rm -rf /var/lib/apt/lists/*",
        )
    )
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        folder = tarfile.TarInfo("extra-ca")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(folder)
        files = [("Dockerfile", dockerfile.encode())]
        files += [(f"extra-ca/{path.name}", path.read_bytes()) for path in certificates]
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o644
            tar.addfile(info, io.BytesIO(content))
    buffer.seek(0)
    return buffer


def ensure(client: docker.DockerClient) -> str:
    """Tag of the lab's base image: Debian trixie slim that also trusts this machine's extra authorities.

    The plain image is kept beside it as `PLAIN`: the lab's registry serves that one. Raises LabError where
    neither a registry nor Debian's packages can be reached.
    """
    try:
        client.images.get(PLAIN)
    except ImageNotFound:
        say(f"base image: asking a registry for {UPSTREAM}")
        if not _pull(client):
            say("base image: no registry answers; building it with mmdebstrap (about half a minute)")
            _bootstrap(client)
    # The engine's build cache makes this free when nothing changed.
    client.images.build(
        fileobj=_context(extra_ca_certificates()), custom_context=True, tag=BASE, labels=SHARED, rm=True
    )
    return BASE
