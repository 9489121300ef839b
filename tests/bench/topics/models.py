"""A model file's way to its place: `comfystack models fetch` against aria2's own checksum, and curl with sha256sum.

One file of 2 GB from a server on the loopback address, once as fast as it goes and once at 40 MB/s per connection. The
three take turns; the best time of each counts, so that what else the machine does weighs on none of them alone. What a
kill costs is counted in bytes that the server sends a second time.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from tests.lab.names import ROOT

from ..rows import Row

SIZE = 2_000_000_000
PER_CONNECTION = 40_000_000  # bytes per second, of the second setting
LIMIT = 0.9
KILL_LIMIT = 0.01
NOTHING_SECONDS = 0.1
NAME = "model.safetensors"
_COMFYSTACK = [sys.executable, "-m", "comfystack"]
_ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "comfyui" / "client")}


def _make(folder: Path) -> str:
    """The file, and its SHA-256."""
    body = SIZE - 8 - 160
    header = (
        json.dumps({"w": {"dtype": "U8", "shape": [body], "data_offsets": [0, body]}}).encode().ljust(160)
    )
    digest = hashlib.sha256()
    with (folder / NAME).open("wb") as stream:
        left = SIZE
        chunk = struct.pack("<Q", 160) + header
        while left:
            stream.write(chunk[:left])
            digest.update(chunk[:left])
            left -= min(left, len(chunk))
            chunk = os.urandom(1 << 22)
    return digest.hexdigest()


@contextmanager
def _source(folder: Path, rate: int | None) -> Iterator[str]:
    command = [sys.executable, "-m", "tests.model_source", str(folder), *([str(rate)] if rate else [])]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.stdin.close()


class _Room:
    """Where the three fetch to, one after the other."""

    def __init__(self, folder: Path) -> None:
        self.source = folder / "source"
        self.source.mkdir()
        self.sha256 = _make(self.source)
        self.models = folder / "models"
        self.lock = folder / "models.lock.yml"
        texts = {"name": NAME, "folder": "loras", "path": NAME, "revision": "main", "licence": "none"}
        entry = {**texts, "source": "http://source.test/a/b", "bytes": SIZE, "sha256": self.sha256}
        self.lock.write_text(yaml.safe_dump({"sets": {"fp8": ["one"]}, "files": {"one": entry}}))
        self.other = folder / "other"

    def fetch(self, url: str, *more: str) -> list[str]:
        where = ["--dir", str(self.models), "--lock", str(self.lock)]
        return [*_COMFYSTACK, "models", "fetch", *where, "--mirror", url, "--quiet", *more]

    def clear(self) -> None:
        for folder in (self.models, self.other):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        # What one leaves to be written is not the next one's burden.
        os.sync()

    def seconds(self, *commands: list[str]) -> float:
        self.clear()
        begin = time.monotonic()
        for command in commands:
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=_ENVIRONMENT)
        return time.monotonic() - begin


def rows() -> Iterator[Row]:
    """The two settings, two kills, and a fetch with nothing to do."""
    with tempfile.TemporaryDirectory(prefix="comfystack-bench-", dir=os.environ.get("BENCH_DIR")) as folder:
        room = _Room(Path(folder))
        for rate, turns in ((None, 3), (PER_CONNECTION, 2)):
            with _source(room.source, rate) as url:
                yield from _race(room, url, rate, turns)
        yield from _killed(room)
        yield _nothing_to_do(room)


def _race(room: _Room, url: str, rate: int | None, turns: int) -> Iterator[Row]:
    file = str(room.other / NAME)
    checksum = f"--checksum=sha-256={room.sha256}"
    rivals = {
        f"aria2c -x4 -s4 --checksum=sha-256=… {url}/{NAME}": [
            ["aria2c", "-q", "-x4", "-s4", checksum, "-d", str(room.other), "-o", NAME, f"{url}/{NAME}"]
        ],
        f"curl -o {NAME} {url}/{NAME} && sha256sum {NAME}": [
            ["curl", "-s", "-o", file, f"{url}/{NAME}"],
            ["sha256sum", file],
        ],
    }
    ours = {4: "comfystack models fetch --connections 4", 8: "comfystack models fetch"}
    best: dict[str, float] = {}
    for _ in range(turns):
        for name, commands in rivals.items():
            best[name] = min(room.seconds(*commands), best.get(name, 1e9))
        for connections, name in ours.items():
            taken = room.seconds(room.fetch(url, "--connections", str(connections)))
            best[name] = min(taken, best.get(name, 1e9))
    rival = min(rivals, key=lambda name: best[name])
    setting = "40 MB/s per connection" if rate else "unthrottled"
    for connections, name in ours.items():
        what = f"2 GB, {setting}, {connections} connections"
        yield Row(what, best[name], best[rival], "s", LIMIT, (name, rival))


def _killed(room: _Room) -> Iterator[Row]:
    """SIGKILL at one half: of the fetch, and of the fetch and aria2 together."""
    for everything in (False, True):
        room.clear()
        with _source(room.source, PER_CONNECTION) as url:
            part = room.models / "loras" / f".{NAME}.part"
            with subprocess.Popen(room.fetch(url), env=_ENVIRONMENT) as process:
                while not part.exists() or part.stat().st_blocks * 512 < SIZE // 2:
                    time.sleep(0.01)
                children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
                process.kill()
                for child in children if everything else []:
                    os.kill(int(child), signal.SIGKILL)
            # aria2 holds the lock until it has put away what it has.
            with (room.models / ".comfystack-lock").open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
            kept = part.stat().st_blocks * 512
            before = _sent(url)
            subprocess.run(room.fetch(url), check=True, env=_ENVIRONMENT, stdout=subprocess.DEVNULL)
            again = max(0, kept + _sent(url) - before - SIZE)
        what = "kill -9 of fetch and aria2" if everything else "kill -9 of fetch"
        yield Row(
            f"{what} at 50 %, fetched twice",
            float(again),
            float(SIZE),
            "bytes",
            KILL_LIMIT,
            (f"{what}; comfystack models fetch", "the whole file"),
        )


def _sent(url: str) -> int:
    with urllib.request.urlopen(f"{url}/sent", timeout=10) as answer:  # noqa: S310 - our own loopback server
        return int(answer.read())


def _nothing_to_do(room: _Room) -> Row:
    """The shipped lock's default set, 30 GB in files of holes, with the notes that a fetch leaves of them.

    Beyond the start of the process: `--help` starts the same one.
    """
    room.clear()
    lock = ROOT / "comfyui" / "models.lock.yml"
    shipped = yaml.safe_load(lock.read_text())
    stamps = {}
    for key in shipped["sets"]["fp8"]:
        entry = shipped["files"][key]
        file = room.models / entry["folder"] / entry["name"]
        file.parent.mkdir()
        file.touch()
        os.truncate(file, entry["bytes"])
        stamps[f"{entry['folder']}/{entry['name']}"] = [
            entry["bytes"],
            file.stat().st_mtime_ns,
            entry["sha256"],
        ]
    (room.models / ".comfystack-stamps.json").write_text(json.dumps(stamps))
    fetch = [*_COMFYSTACK, "models", "fetch", "--dir", str(room.models), "--lock", str(lock), "--quiet"]
    best = {"fetch": 1e9, "help": 1e9}
    for _ in range(10):
        for name, command in {"fetch": fetch, "help": [*_COMFYSTACK, "models", "--help"]}.items():
            begin = time.monotonic()
            subprocess.run(command, check=True, env=_ENVIRONMENT, stdout=subprocess.DEVNULL)
            best[name] = min(best[name], time.monotonic() - begin)
    return Row(
        "nothing to do in the set fp8, against process start and 0.1 s",
        best["fetch"],
        best["help"] + NOTHING_SECONDS,
        "s",
        1.0,
        ("comfystack models fetch", "comfystack models --help, and 0.1 s"),
    )
