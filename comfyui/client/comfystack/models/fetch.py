"""Every file of a set, in its place and proved. What is there and good is taken as it is; nothing is overwritten."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import InputError, WrongFileError
from . import header
from .display import Display, amount
from .hashing import sha256
from .lock import Known
from .store import Store, unwritable
from .transfer import Means, aria2c, transfer

# What stays free beside the models, so that the host goes on working.
RESERVE = 1 << 30


@dataclass
class Outcome:
    """Places below the models folder, by what became of them."""

    held: list[str] = field(default_factory=list)
    adopted: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)


def fetch(
    store: Store,
    entries: Iterable[Known],
    means: Means,
    display: Display,
    offline: Path | None = None,
    reserve: int = RESERVE,
) -> Outcome:
    """Whatever can be known to be wrong is said before the first byte is fetched."""
    entries = list(entries)
    outcome = Outcome()
    states = {entry: store.state(entry) for entry in entries}
    if all(state == "held" for state in states.values()):
        outcome.held = [entry.place for entry in entries]
        return outcome
    _refuse_wrong(store, [entry for entry in entries if states[entry] == "wrong"])
    absent = [entry for entry in entries if states[entry] == "absent"]
    if absent:
        if offline is None:
            aria2c()
        _folders(store, absent)
        _room(store, absent, reserve)
    # A folder that we may only read can still be looked at.
    with store.locked() if absent or _writable(store.folder) else nullcontext(-1) as lock:
        for entry in entries:
            if states[entry] == "held":
                outcome.held.append(entry.place)
            elif states[entry] == "unproved":
                _adopt(store, entry, display)
                outcome.adopted.append(entry.place)
        # Another fetch may have ended between the look and the lock.
        absent = [entry for entry in absent if store.state(entry) == "absent"]
        _obtain(store, absent, means, display, offline, lock, outcome)
    return outcome


def _writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK)


def _refuse_wrong(store: Store, wrong: list[Known]) -> None:
    for entry in wrong:
        path = store.final(entry)
        found = f"a file of {path.stat().st_size} bytes" if path.is_file() else "no plain file"
        raise WrongFileError(
            f"{found} at {path}, which is not the locked one",
            f"{entry.bytes} bytes with SHA-256 {entry.sha256}, or nothing",
            "move it away, then run this again: what stands in the folder is never overwritten",
        )


def _folders(store: Store, entries: list[Known]) -> None:
    for entry in entries:
        folder = store.part(entry).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(folder, error) from None
        for one in (folder, store.folder):
            if not _writable(one):
                raise unwritable(one, OSError(errno.EACCES, os.strerror(errno.EACCES)))


def _room(store: Store, entries: list[Known], reserve: int) -> None:
    """Each disk on its own: a folder of the store may be a link to another one."""
    needs: dict[int, tuple[Path, int]] = {}
    for entry in entries:
        folder = store.part(entry).parent
        device = folder.stat().st_dev
        _, sum_ = needs.get(device, (folder, 0))
        needs[device] = (folder, sum_ + entry.bytes - store.received(entry))
    for folder, need in needs.values():
        free = shutil.disk_usage(folder).free
        if need + reserve > free:
            raise InputError(
                f"{amount(free)} free on the disk of {folder}",
                f"{amount(need)} for the files of the set, and {amount(reserve)} beside them",
                "make room (`comfystack models prune` shows what no set needs), or name another folder with --dir",
            )


def _adopt(store: Store, entry: Known, display: Display) -> None:
    path = store.final(entry)
    digest = sha256(path, display.follow(f"looking at {entry.name}", entry.bytes))
    if digest != entry.sha256:
        raise WrongFileError(
            f"SHA-256 {digest} of {path}",
            f"{entry.sha256}, as the models lock says",
            "move it away, then run this again: what stands in the folder is never overwritten",
        )
    noted = store.stamp(entry, digest)
    display.say(
        f"{entry.place}: was there, and is the locked file"
        + (
            ""
            if noted
            else "; no note of that can be kept in the folder, so it is looked at in full every time"
        )
    )


def _obtain(
    store: Store,
    entries: list[Known],
    means: Means,
    display: Display,
    offline: Path | None,
    lock: int,
    outcome: Outcome,
) -> None:
    """A file is hashed, its pages still in memory, while the next one is on its way."""
    with ThreadPoolExecutor(1) as pool:
        checks: list[tuple[Known, Future[None], bool]] = []
        for entry in entries:
            resumed = _bring(store, entry, means, display, offline, lock)
            checks.append((entry, pool.submit(_settle, store, entry, display), resumed))
            while checks and (checks[0][1].done() or entry is entries[-1]):
                entry_, check, resumed = checks.pop(0)
                if not _proved(check, resumed):
                    # The bytes of an earlier run may be what is wrong: once more, from the first byte.
                    display.say(f"{entry_.place}: went on from an earlier run and is wrong; once more, whole")
                    _bring(store, entry_, means, display, offline, lock)
                    _settle(store, entry_, display)
                outcome.fetched.append(entry_.place)


def _bring(
    store: Store, entry: Known, means: Means, display: Display, offline: Path | None, lock: int
) -> bool:
    """Fills the part; True when earlier bytes are in it."""
    tell = display.follow(f"fetching {entry.name}", entry.bytes)
    if offline is None:
        return transfer(store, entry, means, lock, tell)
    found = next((path for path in (offline / entry.place, offline / entry.name) if path.is_file()), None)
    if found is None:
        raise InputError(
            f"neither {entry.place} nor {entry.name} in {offline}",
            "every file of the set that the models folder lacks",
            "put it there, or leave --from out where the source can be reached",
        )
    store.drop_part(entry)
    try:
        shutil.copyfile(found, store.part(entry))
    except OSError as error:
        store.drop_part(entry)
        raise unwritable(store.part(entry).parent, error) from None
    return False


def _proved(check: Future[None], resumed: bool) -> bool:
    """False where only the bytes of an earlier run may be to blame; raises where nothing is left to try."""
    try:
        check.result()
    except WrongFileError:
        if not resumed:
            raise
        return False
    return True


def _settle(store: Store, entry: Known, display: Display) -> None:
    """The part gets its final name if it is the locked file, and is removed if not."""
    part = store.part(entry)
    size = part.stat().st_size
    problem = f"{size} bytes" if size != entry.bytes else None
    if problem is None:
        digest = sha256(part, display.follow(f"hashing {entry.name}", entry.bytes))
        problem = f"SHA-256 {digest}" if digest != entry.sha256 else header.problem(part, entry.name)
    if problem is not None:
        store.drop_part(entry)
        raise WrongFileError(
            f"what came for {entry.name} is not the locked file: {problem}",
            f"{entry.bytes} bytes with SHA-256 {entry.sha256}"
            + (
                " (read in public files, never checked against the source)"
                if entry.verified == "secondary"
                else ""
            ),
            "run this again; if it stays so, the source has changed or the lock is wrong: ask who vouches for the file",
        )
    _to_disk(part)
    part.chmod(0o644)
    if os.path.lexists(store.final(entry)):
        raise WrongFileError(
            f"{store.final(entry)} appeared while {entry.name} was fetched",
            "nothing there",
            "run this again: it is looked at, and taken if it is the locked file",
        )
    part.rename(store.final(entry))
    store.control(entry).unlink(missing_ok=True)
    store.stamp(entry, entry.sha256)
    display.say(f"{entry.place}: fetched, {amount(entry.bytes)}, SHA-256 as locked")


def _to_disk(part: Path) -> None:
    """Before the rename: after a power cut no final name may stand for bytes that never reached the disk."""
    handle = os.open(part, os.O_RDONLY)
    try:
        os.fdatasync(handle)
    except OSError as error:
        raise unwritable(part, error) from None
    finally:
        os.close(handle)
