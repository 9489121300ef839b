"""Parameters of a shipped workflow as a command line or a table gives them: text, checked before anything is sent."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .. import parameters
from ..client import ComfyClient
from ..errors import InputError
from ..events import Graph, ImageRef
from ..images import read_image


def pairs(texts: Iterable[str], flag: str) -> dict[str, str]:
    """PARAMETER=VALUE, each once."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name or name in found:
            what = "is given twice" if name in found else "has no PARAMETER=VALUE"
            raise InputError(f"{flag} {text!r} {what}", "PARAMETER=VALUE, each parameter once", "correct it")
        found[name] = value
    return found


@dataclass(frozen=True)
class Job:
    """One picture to make: a workflow and its values. Images are paths of files that were read already."""

    workflow: str
    values: Mapping[str, str]
    images: Mapping[str, Path]

    @property
    def key(self) -> str:
        """A digest of everything that makes the picture; the same job has the same key, wherever its files lie."""
        digest = hashlib.sha256(self.workflow.encode())
        for name, value in sorted(self.values.items()):
            digest.update(f"\0{name}={value}".encode())
        for name, path in sorted(self.images.items()):
            digest.update(f"\0{name}@{hashlib.sha256(path.read_bytes()).hexdigest()}".encode())
        return digest.hexdigest()

    def graph(self, client: ComfyClient) -> Graph:
        """Uploads the images; the graph ready to run."""
        uploaded = {name: client.upload_image(path) for name, path in self.images.items()}
        return parameters.fill(self.workflow, {**self.values, **uploaded})


def job(workflow: str, values: Mapping[str, str], folder: Path = Path()) -> Job:
    """A job of text values; image files are relative to `folder`. InputError for whatever would be refused later."""
    known = parameters.schema(workflow).parameters
    is_image = {name for name in values if name in known and known[name].type == "image"}
    images = {name: folder / values[name] for name in is_image}
    for path in images.values():
        read_image(path)
    rest = {name: value for name, value in values.items() if name not in is_image}
    parameters.fill(workflow, {**rest, **{name: ImageRef(path.name) for name, path in images.items()}})
    return Job(workflow, rest, images)


def with_seed(one: Job, seed: int) -> Job:
    """The same job with this seed where it has none of its own."""
    if "seed" in one.values or "seed" not in parameters.schema(one.workflow).parameters:
        return one
    return Job(one.workflow, {**one.values, "seed": str(seed)}, one.images)
