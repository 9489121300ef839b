"""Looks for secrets on the machine on which it runs: in files, or in what processes are told when they start.

Standard library only: its text is sent to a host and run there. What to look for comes as one line of JSON on stdin
({name: [Base64, ...]}), because arguments are one of the places that are looked at.

usage: look.py files FOLDER...     files in these folders, without other file systems mounted in them; the answer is
                                   one line of JSON, [[name, path, mode], ...]
       look.py processes           arguments and environments until stdin ends; "looking" after the first time; each
                                   finding is one line of JSON, [name, place, program], when it is made; the last
                                   line is the number of processes that were seen
"""

import base64
import json
import os
import select
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PAUSE_SECONDS = 0.2
FILES_AT_ONCE = 2000
LOOKING = json.dumps("looking")
Wanted = dict[str, list[bytes]]


def _within(data: bytes, wanted: Wanted) -> list[str]:
    return [name for name, forms in wanted.items() if any(form in data for form in forms)]


def _files(folder: str) -> Iterator[str]:
    """Regular files below `folder` on its own file system."""
    device = Path(folder).stat().st_dev
    for here, folders, files in os.walk(folder):
        folders[:] = [one for one in folders if _status(f"{here}/{one}").st_dev == device]
        for path in (f"{here}/{name}" for name in files):
            if stat.S_ISREG(_status(path).st_mode):
                yield path


def _status(path: str) -> os.stat_result:
    """Of a link itself; all zero for what went while we looked."""
    try:
        return Path(path).lstat()
    except FileNotFoundError:
        return os.stat_result([0] * 10)


def look_in_files(folders: list[str], wanted: Wanted) -> list[list[str]]:
    """[name, path, octal mode] of each secret in each file. grep finds the files, being much faster."""
    patterns = b"\n".join(form for forms in wanted.values() for form in forms)
    paths = sorted({os.path.normpath(path) for folder in folders for path in _files(folder)})
    hits: list[str] = []
    for start in range(0, len(paths), FILES_AT_ONCE):
        command = ["grep", "-lsaFZ", "-f", "-", "--", *paths[start : start + FILES_AT_ONCE]]
        bytewise = {**os.environ, "LC_ALL": "C"}
        done = subprocess.run(command, input=patterns, stdout=subprocess.PIPE, check=False, env=bytewise)
        hits += filter(None, os.fsdecode(done.stdout).split("\0"))
    answer = []
    for path in map(Path, hits):
        mode = f"{stat.S_IMODE(path.stat().st_mode):04o}"
        answer += [[name, str(path), mode] for name in _within(path.read_bytes(), wanted)]
    return answer


def _read(path: Path) -> bytes:
    """Empty where a process went or may not be looked at."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def watch_processes(wanted: Wanted) -> int:
    """Prints findings until stdin ends. Returns how many processes were seen, or the same one with other arguments."""
    seen: set[tuple[str, bytes]] = set()
    known: set[str] = set()
    while True:
        processes = [process for process in Path("/proc").iterdir() if process.name.isdigit()]
        new = {(process.name, _read(process / "cmdline")) for process in processes} - seen
        seen |= new
        for number, arguments in new:
            environment = _read(Path("/proc", number, "environ"))
            program = os.fsdecode(arguments.split(b"\0", 1)[0]).split(" ", 1)[0]
            for place, data in (("arguments", arguments), ("environment", environment)):
                findings = {json.dumps([name, place, program]) for name in _within(data, wanted)}
                for finding in findings - known:
                    print(finding, flush=True)
                known |= findings
        if LOOKING not in known:
            known.add(LOOKING)
            print(LOOKING, flush=True)
        if select.select([sys.stdin], [], [], PAUSE_SECONDS)[0]:
            return len(seen)


def main(how: str, *folders: str) -> int:
    """0: what was found stands on stdout."""
    line = json.loads(sys.stdin.readline())
    wanted = {name: [base64.b64decode(form) for form in forms] for name, forms in line.items()}
    if how == "files":
        print(json.dumps(look_in_files(list(folders), wanted)))
    else:
        print(json.dumps(watch_processes(wanted)))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
