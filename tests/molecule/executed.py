"""Counts: was every task of every role executed in some scenario, and every handler?

The callback in callback/ writes what ran; the roles' own files say what there is to run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

# They stand for the tasks of the file or role that they name, which are counted themselves.
_STANDS_FOR_OTHERS = ("ansible.builtin.import_tasks", "ansible.builtin.import_role")


@dataclass(frozen=True, order=True)
class Task:
    """A task or handler by its file, as an absolute path, and its name, which is there once."""

    file: Path
    name: str


class CountError(Exception):
    """Tasks that cannot be told apart; the message says what was found, what was expected and what to do."""


def written_down(roles: Path) -> dict[Task, int]:
    """Every task and handler below `roles`, with the line where it begins. Raises CountError."""
    found: dict[Task, int] = {}
    for folder in ("tasks", "handlers"):
        for file in sorted(roles.glob(f"*/{folder}/**/*.yml")):
            for name, line in _tasks(yaml.compose(file.read_text(), yaml.CSafeLoader)):
                task = Task(file.resolve(), name)
                if not name or task in found:
                    which = f"a task named {name!r} as another one is" if name else "a task without a name"
                    raise CountError(
                        f"found: {file}:{line}: {which}\n"
                        "expected: a name that is there once in its file, by which its execution is counted\n"
                        "next step: name it"
                    )
                found[task] = line
    return found


def _tasks(node: yaml.Node | None) -> Iterator[tuple[str, int]]:
    """Name and line of each task in a list of tasks, blocks unfolded."""
    for entry in node.value if isinstance(node, yaml.SequenceNode) else []:
        keys = {key.value: value for key, value in entry.value}
        if "block" in keys:
            for part in ("block", "rescue", "always"):
                yield from _tasks(keys.get(part))
        elif not any(action in keys for action in _STANDS_FOR_OTHERS):
            yield (keys["name"].value if "name" in keys else ""), entry.start_mark.line + 1


def executed(records: Iterable[Path]) -> set[Task]:
    """What the callback wrote into these files. One that is not there says that nothing ran."""
    lines = [line for record in records if record.exists() for line in record.read_text().splitlines()]
    entries = [json.loads(line) for line in lines]
    return {Task(Path(entry["file"]), entry["name"]) for entry in entries}


def report(roles: Path, records: Iterable[Path]) -> tuple[bool, str]:
    """Whether nothing was left out, and the words to print about it."""
    there = written_down(roles)
    missing = sorted(set(there) - executed(records))
    if not missing:
        return True, f"all {len(there)} tasks and handlers of the roles were executed"
    lines = [
        f"  {task.file.relative_to(roles.resolve().parent)}:{there[task]}: {task.name}" for task in missing
    ]
    return False, "\n".join(
        [
            f"found: {len(missing)} of {len(there)} tasks and handlers of the roles that no scenario executed:",
            *lines,
            "expected: each one executed, outside of a check, in some scenario",
            "next step: let a scenario or its side effects need it, or remove it",
        ]
    )
