"""One file through aria2, into its temporary name: parallel ranges, and on from any byte after any end."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ..errors import ComfyError, InputError, WrongFileError
from .errors import BusyError, SourceError
from .lock import Known
from .notes import mend
from .origin import resolve, unreachable
from .relay import relay
from .store import Store

# Exit statuses of aria2 that are about this machine's disk (its manual, "EXIT STATUS").
_DISK_FULL = 9
_DISK = (15, 16, 17, 18)
_POLL = 0.1


@dataclass(frozen=True)
class Means:
    """How to get at the source. `attempts` counts those in a row that bring nothing; `longest_wait` is in seconds."""

    token: str | None = None
    mirror: str | None = None
    ca_file: str | None = None
    connections: int = 8
    attempts: int = 5
    longest_wait: float = 600.0


def aria2c() -> str:
    """The program, or InputError."""
    found = shutil.which("aria2c")
    if not found:
        raise InputError("no aria2c on PATH", "aria2, which transfers", "apt-get install aria2")
    return found


def transfer(
    store: Store,
    entry: Known,
    means: Means,
    lock: int,
    tell: Callable[[int], None],
) -> bool:
    """Fills the entry's part. True when it went on from an earlier run, whose bytes only the hash can vouch for."""
    program, url = aria2c(), entry.url(means.mirror)
    part, control = store.part(entry), store.control(entry)
    mend(part, control, entry.bytes)
    if part.exists() and not control.exists() and store.received(entry) < part.stat().st_size:
        # Holes that the file system does not show, and no note of where they are.
        store.drop_part(entry)
    resumed = part.exists()
    failures = 0
    while True:
        before = store.received(entry)
        try:
            origin = resolve(url, means.token, means.ca_file)
            if origin.size not in (None, entry.bytes):
                raise WrongFileError(
                    f"the source has {origin.size} bytes for {entry.name}",
                    f"{entry.bytes} bytes, as the models lock says",
                    "look whether revision and path of the lock are right; nothing was fetched",
                )
            if not origin.ranges and part.exists():
                # Such a server begins again with every answer.
                store.drop_part(entry)
            with ExitStack() as stack:
                address = origin.url
                if origin.token and means.token:
                    address = stack.enter_context(relay(address, means.token, means.ca_file))
                connections = means.connections if origin.ranges else 1
                command = _command(program, connections, means.ca_file)
                code, said = _run(command, address, part, lock, lambda: tell(store.received(entry)))
            if code == 0:
                return resumed
            raise _failure(code, said, url, part)
        except BusyError as error:
            failures = 1 if store.received(entry) > before else failures + 1
            pause = error.wait if error.wait is not None else min(2.0**failures, 60)
            if failures >= means.attempts or pause > means.longest_wait:
                raise
            wait(pause)


def wait(seconds: float) -> None:
    """Until the source wants to be asked again."""
    time.sleep(seconds)


def _command(program: str, connections: int, ca_file: str | None) -> list[str]:
    return [
        program,
        "--no-conf",
        "--input-file=-",  # the address may be signed, or be the relay's: neither is for the process list
        "--no-netrc",
        "--continue=true",
        "--allow-overwrite=true",  # of the temporary name, where a note of it is missing
        "--auto-file-renaming=false",
        "--file-allocation=none",
        "--auto-save-interval=1",  # what a power cut costs at most, in seconds of transfer
        f"--max-connection-per-server={connections}",
        f"--split={connections}",
        "--min-split-size=1M",
        "--max-tries=3",
        "--retry-wait=1",
        "--connect-timeout=20",
        "--timeout=60",
        "--follow-torrent=false",
        "--follow-metalink=false",
        "--remote-time=false",
        f"--stop-with-process={os.getpid()}",
        "--show-console-readout=false",
        "--summary-interval=0",
        "--download-result=hide",
        "--console-log-level=error",
        *([f"--ca-certificate={ca_file}"] if ca_file else []),
    ]


def _run(
    command: list[str], address: str, part: Path, lock: int, tell: Callable[[], None]
) -> tuple[int, str]:
    """aria2's exit status and its last words. It ends, its notes written, before anything leaves this function."""
    wanted = f"{address}\n  dir={part.parent}\n  out={part.name}\n"
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=[lock],
        start_new_session=True,  # Ctrl-C is for us to pass on, once
    ) as process:
        try:
            assert process.stdin is not None
            process.stdin.write(wanted.encode())
            process.stdin.close()
            while True:
                try:
                    process.wait(_POLL)
                    break
                except subprocess.TimeoutExpired:
                    tell()
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
        assert process.stdout is not None
        said = process.stdout.read().decode(errors="replace")
    # Without what an address carries behind its question mark, or names the relay's door with.
    said = re.sub(r"(https?://[^\s/]+)/\S*", r"\1/…", said)
    return process.returncode, next(
        (line.strip() for line in reversed(said.splitlines()) if line.strip()), ""
    )


def _failure(code: int, said: str, url: str, part: Path) -> ComfyError:
    if code == _DISK_FULL or "No space left" in said:
        return InputError(
            f"no room left on the disk of {part.parent}",
            "room for every file of the set",
            "make room (`comfystack models prune` shows what no set needs), then run this again: it goes on",
        )
    if code in _DISK:
        return InputError(
            f"{part} cannot be written: {said or f'aria2 ended with {code}'}",
            "a folder that this user may write to",
            "run as its owner, or name another folder with --dir",
        )
    if code == 3:
        return SourceError(
            f"aria2 found nothing at {url}", "the file", "run this again: the address is looked up anew"
        )
    # Everything else may be a broken line or an address that has run out: it is looked up anew.
    return unreachable(url, said or f"aria2 ended with status {code}")
