"""`comfystack models`: fetch, verify, list, prune, record."""

from __future__ import annotations

import argparse
import os
import stat
import sys
from pathlib import Path

from ..errors import InputError, WrongFileError
from ..telling import add_json, tell
from . import lock as locks
from .display import Display, amount
from .fetch import RESERVE, fetch
from .prune import unneeded
from .record import record
from .store import Store
from .transfer import Means
from .verify import verify

LOCK = "COMFYSTACK_MODELS_LOCK"
DIR = "COMFYSTACK_MODELS_DIR"
TOKEN_FILE = "COMFYSTACK_MODELS_TOKEN_FILE"  # noqa: S105 - the name of a variable that names a file
MIRROR = "COMFYSTACK_MODELS_MIRROR"
DEFAULT_SET = "fp8"


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The command `models`."""
    text = "fetch the model files of a set, and prove them"
    add_actions(commands.add_parser("models", help=text, description=text.capitalize()))


def add_actions(parser: argparse.ArgumentParser) -> None:
    """Its actions; by itself, for the guest, which has no other command."""
    actions = parser.add_subparsers(dest="models_command", required=True)

    one = actions.add_parser("fetch", help="fetch what is missing; again, it costs milliseconds")
    one.set_defaults(action=_fetch)
    _common(one)
    one.add_argument(
        "--token-file",
        default=os.environ.get(TOKEN_FILE),
        type=Path,
        metavar="FILE",
        help=f"file with the token of the source, for it alone [{TOKEN_FILE}]",
    )
    one.add_argument(
        "--mirror",
        default=os.environ.get(MIRROR),
        metavar="URL",
        help=f"in place of the sources' host: URL/OWNER/NAME/resolve/REVISION/PATH [{MIRROR}]",
    )
    one.add_argument(
        "--from",
        dest="offline",
        type=Path,
        metavar="FOLDER",
        help="take the files from there; no network is used",
    )
    one.add_argument("--ca-file", metavar="FILE", help="PEM file of the CAs to trust instead of the system's")
    one.add_argument(
        "--connections",
        type=int,
        choices=range(1, 17),
        default=8,
        metavar="N",
        help="ranges at once (default 8)",
    )
    one.add_argument(
        "--reserve",
        type=int,
        default=RESERVE,
        metavar="BYTES",
        help=f"room to leave on the disk (default {RESERVE})",
    )
    one.add_argument("--quiet", action="store_true", help="no progress")

    one = actions.add_parser(
        "verify", help="read every byte again; exit code 10 where a file is not the locked one"
    )
    one.set_defaults(action=_verify)
    _common(one)
    one.add_argument(
        "--quick", action="store_true", help="believe what was hashed before and has not changed since"
    )
    one.add_argument("--quiet", action="store_true", help="no progress")

    one = actions.add_parser("list", help="the sets, their files and what stands of them")
    one.set_defaults(action=_list)
    _common(one, default=None)

    one = actions.add_parser("prune", help="show what the chosen sets do not need; with --yes, remove it")
    one.set_defaults(action=_prune)
    _common(one)
    one.add_argument("--yes", action="store_true", help="remove it")

    one = actions.add_parser(
        "record", help="write size and hash of a file that you trust into the models lock"
    )
    one.set_defaults(action=_record)
    one.add_argument("key", metavar="KEY", help="its name in the models lock")
    one.add_argument("--file", type=Path, required=True, metavar="FILE", help="the file")
    _lock_argument(one)
    add_json(one)


def _common(parser: argparse.ArgumentParser, default: str | None = DEFAULT_SET) -> None:
    told = f"default {default}" if default else "default: all"
    parser.add_argument(
        "--set",
        action="append",
        dest="sets",
        metavar="NAME",
        help=f"set of the models lock; may be given again ({told})",
    )
    parser.add_argument(
        "--dir",
        type=Path,
        default=os.environ.get(DIR),
        required=DIR not in os.environ,
        metavar="FOLDER",
        help=f"models folder with ComfyUI's layout [{DIR}]",
    )
    _lock_argument(parser)
    add_json(parser)


def _lock_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--lock",
        type=Path,
        default=os.environ.get(LOCK),
        metavar="FILE",
        help=f"the models lock [{LOCK}]; in a checkout, its own",
    )


def _lock(args: argparse.Namespace) -> locks.Lock:
    checkout = Path(__file__).parents[3] / "models.lock.yml"
    file = args.lock or (checkout if checkout.is_file() else None)
    if file is None:
        raise InputError("no models lock is named", "comfyui/models.lock.yml", f"give --lock, or set {LOCK}")
    return locks.read(Path(file))


def _store(args: argparse.Namespace) -> Store:
    folder = Path(args.dir)
    if not folder.is_dir():
        raise InputError(f"no folder {folder}", "the models folder", "make it, or correct --dir")
    return Store(folder)


def _fetch(args: argparse.Namespace) -> None:
    lock = _lock(args)
    entries = lock.recorded(args.sets or [DEFAULT_SET])
    means = Means(_token(args.token_file), args.mirror, args.ca_file, args.connections)
    with Display(sys.stderr, args.quiet) as display:
        outcome = fetch(_store(args), entries, means, display, args.offline, args.reserve)
    counts = (len(outcome.fetched), len(outcome.adopted), len(outcome.held))
    tell(args, "{} fetched, {} adopted, {} known to be good".format(*counts), vars(outcome))


def _token(file: Path | None) -> str | None:
    """Read here, kept in memory alone."""
    if file is None:
        return None
    try:
        mode, token = file.stat().st_mode, file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"the token file {file} cannot be read: {error}",
            "one line with the token",
            "correct --token-file",
        ) from None
    if not token or not token.isascii() or len(token.split()) != 1:
        raise InputError(
            f"the token file {file} holds no token", "one line with the token", "correct --token-file"
        )
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise InputError(
            f"the token file {file} is open to other users of this machine", "mode 0600", f"chmod 600 {file}"
        )
    return token


def _verify(args: argparse.Namespace) -> None:
    entries = _lock(args).recorded(args.sets or [DEFAULT_SET])
    with Display(sys.stderr, args.quiet) as display:
        findings = verify(_store(args), entries, display, args.quick)
    if findings:
        if not args.json:
            print("\n".join(findings))
        raise WrongFileError(
            f"{len(findings)} of {len(entries)} files are not the locked ones"
            + (f": {'; '.join(findings)}" if args.json else ""),
            "every file of the set, as the models lock has it",
            "move wrong files away, then: comfystack models fetch",
        )
    tell(args, f"{len(entries)} files are the locked ones", {"files": [entry.place for entry in entries]})


def _list(args: argparse.Namespace) -> None:
    lock, store = _lock(args), _store(args)
    rows, lines = [], []
    for name in args.sets or lock.sets:
        entries = lock.chosen([name])
        known = [entry.bytes for entry in entries if entry.bytes is not None]
        more = " and files without a recorded hash" if len(known) < len(entries) else ""
        lines.append(f"{name}: {amount(sum(known))}{more}")
        for entry in entries:
            state: str = "unrecorded"
            if entry.bytes is not None and entry.sha256 is not None:
                state = store.state(locks.Known(**vars(entry)))
            received = store.received(entry)
            half = f", {amount(received)} of it fetched" if received else ""
            size = amount(entry.bytes) if entry.bytes is not None else "size not known"
            lines.append(f"  {_WORDS[state]:10} {entry.place} ({size}{half}), {entry.licence}")
            rows.append({"set": name, **vars(entry), "state": state, "received": received})
    tell(args, "\n".join(lines), {"files": rows})


_WORDS = {
    "held": "good",
    "unproved": "not hashed",
    "absent": "missing",
    "wrong": "WRONG",
    "unrecorded": "unrecorded",
}


def _prune(args: argparse.Namespace) -> None:
    lock, store = _lock(args), _store(args)
    sets = args.sets or [DEFAULT_SET]
    with store.locked():
        paths = unneeded(store, lock, sets)
        size = sum(path.stat().st_blocks * 512 for path in paths)
        if args.yes:
            for path in paths:
                path.unlink()
    what = f"{amount(size)} {'removed' if args.yes else 'that no chosen set needs; --yes removes it'}"
    lines = [*map(str, paths), what] if paths else ["nothing to remove"]
    tell(args, "\n".join(lines), {"files": list(map(str, paths)), "bytes": size, "removed": bool(args.yes)})


def _record(args: argparse.Namespace) -> None:
    lock = _lock(args)
    with Display(sys.stderr) as display:
        size, digest = record(lock, args.key, args.file, display)
    tell(
        args,
        f"{lock.file}: {args.key} is {size} bytes with SHA-256 {digest}, vouched for by whoever runs this",
        {"key": args.key, "bytes": size, "sha256": digest},
    )
