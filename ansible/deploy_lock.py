"""Runs a command while holding a site's deploy lock, so that two deployments never work on one site at once.

usage: deploy_lock.py build/<site> COMMAND…

The lock is a flock on build/<site>/deploy.lock, which says in JSON who holds it. The command and what it starts hold
it too: it is free when the last of them has ended, in whatever way. Nobody has to remove a lock of a killed deploy.
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from types import FrameType

NAME = "deploy.lock"
# What a killed deploy leaves running is the one task that was under way; an image build is the longest.
REMAINS_SECONDS = 900


class LockError(Exception):
    """The lock cannot be had; the message says what was found, what was expected and what to do."""


def _myself() -> str:
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _holder(lock: int) -> dict[str, str]:
    """What the holder wrote: user, pid, since. Empty in the moment before it is written."""
    with contextlib.suppress(ValueError):
        said = json.loads(os.pread(lock, 4096, 0))
        return {key: str(said[key]) for key in ("user", "pid", "since") if key in said}
    return {}


def _lock_file(folder: Path) -> int:
    """The opened lock file of the site, made where there is none. Raises LockError where that is not allowed."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(folder / NAME, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise LockError(
            f"found: {folder / NAME} cannot be opened: {error.strerror}\n"
            f"expected: a folder that {_myself()} may write to\n"
            f"next step: let the user deploy who did before, or give {folder.parent} to {_myself()}"
        ) from error


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def take(folder: Path) -> int:
    """The file descriptor that holds the lock of the site in `folder`.

    Where the holder was killed and something it began is still at work, waits for that. Raises LockError where the
    holder is alive, or the wait takes too long.
    """
    deadline = time.monotonic() + REMAINS_SECONDS
    told = False
    while True:
        lock = _lock_file(folder)
        if _locked(lock):
            # The file may have been removed, and made anew, between its opening and its locking.
            with contextlib.suppress(FileNotFoundError):
                if (folder / NAME).stat().st_ino == os.fstat(lock).st_ino:
                    return lock
            os.close(lock)
            continue
        held = _holder(lock)
        os.close(lock)
        pid = held.get("pid", "")
        if not pid or _is_alive(int(pid)) or time.monotonic() > deadline:
            by = f"{held.get('user', 'somebody')}, process {pid or 'unknown'}, since {held.get('since', 'now')}"
            raise LockError(
                f"found: another deployment of site '{folder.name}' is under way: {by}\n"
                "expected: one at a time; nothing was done\n"
                f"next step: wait for it to end, or end it (kill {pid or 'PID'}), and run this again; "
                "its lock goes with it"
            )
        if not told:
            print(
                f"deploy: the deployment of {held['user']} since {held['since']} was killed; "
                "waiting for its last task to end",
                file=sys.stderr,
                flush=True,
            )
            told = True
        time.sleep(0.5)


def run(folder: Path, command: list[str]) -> int:
    """Exit status of `command`, run under the lock. SIGINT and SIGTERM end the command, and then this."""
    lock = take(folder)
    now = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    holder = {"user": _myself(), "pid": os.getpid(), "since": now}
    os.ftruncate(lock, 0)
    os.pwrite(lock, (json.dumps(holder) + "\n").encode(), 0)
    try:
        process = subprocess.Popen(command, pass_fds=(lock,))

        def hand_on(number: int, _frame: FrameType | None) -> None:
            process.send_signal(number)

        signal.signal(signal.SIGTERM, hand_on)
        # The terminal sends its own to the command as well.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        status = process.wait()
        return 128 - status if status < 0 else status
    finally:
        # Before it is free, so that nobody else's file is removed.
        (folder / NAME).unlink(missing_ok=True)
        os.close(lock)
        with contextlib.suppress(OSError):
            # Where the command made nothing, neither did we.
            folder.rmdir()


def main(arguments: list[str]) -> int:
    """The command's exit status; 75, "try again later", where another deployment is under way."""
    folder, *command = arguments
    try:
        return run(Path(folder), command)
    except LockError as error:
        print(error, file=sys.stderr)
        return os.EX_TEMPFAIL


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
