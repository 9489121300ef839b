"""A role's interface, read from its files, and what disagrees in it.

`meta/argument_specs.yml` is the source: defaults, tasks, templates and handlers are compared with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
ROLES = sorted(path.parent.parent for path in ROOT.glob("roles/*/meta/argument_specs.yml"))
# Templates that roles use and that stand outside of them.
SHARED = sorted([*ROOT.glob("compose/*.j2"), *ROOT.glob("iis/*.j2")])
_PARTS = ("tasks/**/*.yml", "handlers/*.yml", "templates/*.j2", "vars/*.yml", "defaults/*.yml")
_BLOCKS = ("block", "rescue", "always")


@dataclass(frozen=True)
class Role:
    """What one role's files say. `entries` has the options of each entry point by its name."""

    name: str
    entries: dict[str, dict[str, Any]]
    defaults: dict[str, Any]
    internal: dict[str, Any]
    tasks: tuple[dict[str, Any], ...]
    handlers: tuple[dict[str, Any], ...]
    texts: dict[str, str]

    @property
    def options(self) -> dict[str, Any]:
        return self.entries.get("main", {})

    @property
    def registered(self) -> set[str]:
        return {str(task["register"]) for task in self.tasks if "register" in task}


def read(folder: Path) -> Role:
    """The role in a folder."""
    specs = _load(folder / "meta" / "argument_specs.yml")["argument_specs"]
    return Role(
        name=folder.name,
        entries={entry: spec.get("options", {}) for entry, spec in specs.items()},
        defaults=_load(folder / "defaults" / "main.yml"),
        internal=_load(folder / "vars" / "main.yml"),
        tasks=tuple(task for path in sorted(folder.glob("tasks/**/*.yml")) for task in _tasks(path)),
        handlers=tuple(task for path in sorted(folder.glob("handlers/*.yml")) for task in _tasks(path)),
        texts={
            path.relative_to(folder).as_posix(): path.read_text()
            for pattern in _PARTS
            for path in sorted(folder.glob(pattern))
        },
    )


def _load(path: Path) -> dict[str, Any]:
    return (yaml.safe_load(path.read_text()) or {}) if path.exists() else {}


def _tasks(path: Path) -> Iterator[dict[str, Any]]:
    return flat(yaml.safe_load(path.read_text()) or [])


def flat(tasks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Every task of a list, those in blocks too, and the blocks themselves."""
    for task in tasks:
        yield task
        for part in _BLOCKS:
            yield from flat(task.get(part, []))


def disagreements(role: Role) -> list[str]:
    """Where argument specs, defaults and the naming rules contradict each other."""
    found = []
    for option, spec in role.options.items():
        if not option.startswith(f"{role.name}_"):
            found.append(f"option {option} does not begin with {role.name}_")
        if spec.get("required"):
            found += [f"{option} is required and has a default" for place in (spec,) if "default" in place]
            found += [f"{option} is required and stands in the defaults"] * (option in role.defaults)
        elif "default" not in spec:
            found.append(f"{option} is neither required nor has a default in the argument specs")
        elif option not in role.defaults:
            found.append(f"{option} is missing in the defaults")
        elif not _same(spec["default"], role.defaults[option]):
            found.append(
                f"{option}: {spec['default']!r} in the specs, {role.defaults[option]!r} in the defaults"
            )
        if not str(spec.get("description", "")).strip():
            found.append(f"{option} has no description")
    found += [f"{name} is in the defaults only" for name in role.defaults if name not in role.options]
    for entry, options in role.entries.items():
        found += [
            f"{entry}: {name} is not as in main"
            for name in options
            if options[name] != role.options.get(name)
        ]
    found += [
        f"vars: {name} does not begin with _{role.name}_" for name in role.internal if not _inner(role, name)
    ]
    found += [
        f"registered: {name} does not begin with __{role.name}_"
        for name in role.registered
        if not name.startswith(f"__{role.name}_")
    ]
    return found


def _same(one: object, other: object) -> bool:
    """Equal in value and type: 1, true and "1" are three things."""
    return type(one) is type(other) and one == other


def _inner(role: Role, name: str) -> bool:
    return name.startswith(f"_{role.name}_")


def unknown_words(role: Role, others: list[Role], shared: dict[str, str]) -> list[str]:
    """Names in the role's files that look like some role's variable, and are nobody's."""
    known = set().union(*(_known(one) for one in [*others, role]))
    names = "|".join(one.name for one in [*others, role])
    word = re.compile(rf"(?<![\w./-])_{{0,2}}(?:{names})_\w+")
    found = []
    for place, text in {**role.texts, **shared}.items():
        for name in sorted(set(word.findall(_code(text))) - known):
            found.append(f"{place}: {name} is no option, no variable and nothing that is registered")
    return found


def _code(text: str) -> str:
    """Without comments, which may speak of anything."""
    return re.sub(r"(?m)^\s*#.*$", "", text)


def _known(role: Role) -> set[str]:
    known = {*role.options, *role.internal, *role.registered}
    for task in role.tasks:
        known |= set(task.get("vars", {})) | set(task.get("ansible.builtin.set_fact", {}))
        known.add(task.get("loop_control", {}).get("loop_var", ""))
    return known


def unused(role: Role, everything: str) -> list[str]:
    """Options and variables of the role that nothing reads. `everything` is all text that could."""
    text = everything + _code("\n".join(role.texts.values()))
    found = []
    for name in [*role.options, *role.internal, *role.registered]:
        # Once where it is defined; once more, at least, where it is read. Required ones are defined nowhere.
        definitions = len(re.findall(rf"(?m)^\s*(?:register: )?{name}(?::|$)", text))
        if len(re.findall(rf"(?<!\w){name}(?!\w)", text)) <= definitions:
            found.append(f"{name} is read by nothing")
    return found


def unnamed(role: Role) -> list[str]:
    """Tasks and handlers without a name."""
    return [
        f"a task without a name: {task}" for task in [*role.tasks, *role.handlers] if not task.get("name")
    ]


def notified(role: Role) -> set[str]:
    """The handlers that the role's tasks call."""
    names: set[str] = set()
    for task in role.tasks:
        notify = task.get("notify", [])
        names |= {notify} if isinstance(notify, str) else set(notify)
    return names


def answers_to(handler: dict[str, Any]) -> set[str]:
    """The names under which a handler can be called: its own, and the topics that it listens to."""
    listen = handler.get("listen", [])
    return {str(handler["name"]), *([listen] if isinstance(listen, str) else listen)}
