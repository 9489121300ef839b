"""A source on the loopback address, a models folder, and a lock that pins what the source has."""

from __future__ import annotations

import hashlib
import io
import json
import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from comfystack.models.display import Display
from comfystack.models.fetch import Outcome, fetch
from comfystack.models.lock import Known, read
from comfystack.models.store import Store
from comfystack.models.transfer import Means

from tests.model_source import Source, serving


def safetensors(size: int, seed: int = 0) -> bytes:
    """A well-formed file of one tensor that fills it; any `size` from 200 bytes on."""
    tensor: dict[str, Any] = {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}
    body = size - 8 - 160
    tensor.update(shape=[body], data_offsets=[0, body])
    header = json.dumps({"w": tensor}).encode().ljust(160)
    return struct.pack("<Q", 160) + header + random.Random(seed).randbytes(body)  # noqa: S311 - only has to be repeatable


def entry(name: str, content: bytes, /, **other: Any) -> dict[str, Any]:
    """The lock's entry for a file."""
    return {
        "name": name,
        "folder": "loras",
        "source": "http://source.test/owner/repository",
        "revision": "main",
        "path": name,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "licence": "Apache-2.0",
        "verified": "secondary",
        **other,
    }


class Site:
    """What a test works on."""

    def __init__(self, folder: Path, source: Source) -> None:
        self.source = source
        self.folder = folder / "models"
        self.folder.mkdir()
        self.store = Store(self.folder)
        self.lock = folder / "models.lock.yml"
        self.files: dict[str, dict[str, Any]] = {}
        self.contents: dict[str, bytes] = {}
        self.waited: list[float] = []
        self.log = io.StringIO()  # what a fetch says while it works

    def add(self, key: str, size: int = 3000, **other: Any) -> bytes:
        """A file that the source has and the lock pins, whatever `other` says differently in the lock."""
        content = safetensors(size, len(self.files))
        name = f"{key}.safetensors"
        (self.source.folder / name).write_bytes(content)
        self.files[key] = entry(name, content, **other)
        self.contents[key] = content
        self.lock.write_text(yaml.safe_dump({"sets": {"fp8": list(self.files)}, "files": self.files}))
        return content

    def known(self) -> list[Known]:
        return read(self.lock).recorded(["fp8"])

    def final(self, key: str) -> Path:
        return self.folder / "loras" / f"{key}.safetensors"

    def fetch(self, quiet: Display, offline: Path | None = None, reserve: int = 0, **means: Any) -> Outcome:
        means.setdefault("mirror", self.source.url)
        return fetch(self.store, self.known(), Means(**means), quiet, offline, reserve)

    def rest(self) -> list[str]:
        """What stands in the folder of the files, whole or half."""
        folder = self.folder / "loras"
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Source]:
    folder = tmp_path / "source"
    folder.mkdir()
    with serving(Source(folder)) as served:
        yield served


@pytest.fixture
def site(tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch) -> Site:
    made = Site(tmp_path, source)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("comfystack.models.transfer.wait", made.waited.append)
    return made


@pytest.fixture
def quiet(site: Site) -> Display:
    return Display(site.log)
