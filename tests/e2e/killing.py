"""Deployments that are killed on purpose, and where: at each role's boundary, and at tasks that a seed chooses."""

from __future__ import annotations

import random
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.lab.names import ROOT

from .running import Done, bare_environment, run
from .site import BIN, COMMAND_SECONDS, INVENTORY, Lab

SEED = 2509
PLUGINS = (ROOT / "ansible" / "plugins" / "callback", Path(__file__).parent / "plugins")
_FILES = ("ansible.builtin.import_tasks", "ansible.builtin.include_tasks")


@dataclass(frozen=True)
class Place:
    """Where a deployment is killed: a role or a task of it, on the hosts of `group`, `seconds` after its start."""

    group: str
    at: str
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.at} +{self.seconds:.1f} s"


def _roles() -> list[tuple[str, str]]:
    """Host group and role, in the order of the deployment."""
    plays = yaml.safe_load((ROOT / "ansible" / "site.yml").read_text())
    return [(play["hosts"], entry["role"]) for play in plays for entry in play.get("roles", [])]


def _tasks(folder: Path, file: str) -> list[str]:
    """Names of the tasks of a role's file in their order, without those that change nothing (preflight, meta) or
    that only a failure begins.
    """

    def names(tasks: list[dict[str, Any]]) -> list[str]:
        found = []
        for task in tasks:
            (more,) = [task[key] for key in _FILES if key in task] or [None]
            # A guest that exists is not made, and does not start afresh.
            if more in ("preflight.yml", "provision.yml") or str(more).startswith("restart"):
                continue
            if more:
                found += _tasks(folder, str(more))
            elif "block" in task:
                found += names(task["block"]) + names(task.get("always", []))
            elif "ansible.builtin.meta" not in task:
                found.append(str(task["name"]))
        return found

    return names(yaml.safe_load((folder / "tasks" / file).read_text()))


def boundaries() -> list[Place]:
    """The beginning of each role."""
    return [Place(group, role) for group, role in _roles()]


def chosen(count: int) -> list[Place]:
    """Tasks that the seed chooses, in the order of the deployment, each killed some moments after its start."""
    chance = random.Random(SEED)  # noqa: S311 - repeatable on purpose
    every = [
        Place(group, f"{role} : {name}")
        for group, role in _roles()
        for name in _tasks(ROOT / "roles" / role, "main.yml")
    ]
    places = sorted(chance.sample(range(len(every)), count))
    return [Place(every[n].group, every[n].at, round(chance.uniform(0.1, 1.5), 1)) for n in places]


def walk(count: int) -> list[Place]:
    """Both, in the order in which one deployment after the other reaches them."""
    order = [role for _, role in _roles()]
    return sorted(
        [*boundaries(), *chosen(count)], key=lambda place: order.index(place.at.partition(" : ")[0])
    )


def kill(lab: Lab, number: int, place: Place) -> Done:
    """A deployment under its lock that is killed at `place`; fails the test where it ended in another way.

    Only the hosts of the place are deployed to: what comes before them was there already.
    """
    environment = bare_environment(
        LAB_NAME=lab.names.lab,
        ANSIBLE_CONFIG=str(ROOT / "ansible" / "ansible.cfg"),
        ANSIBLE_CALLBACK_PLUGINS=":".join(map(str, PLUGINS)),
        DEPLOY_KILLED_AT=place.at,
        DEPLOY_KILLED_AFTER=str(place.seconds),
    )
    environment["PATH"] = f"{BIN}:{environment['PATH']}"
    command = [str(BIN / "python"), "ansible/deploy_lock.py", str(lab.build)]
    command += ["ansible-playbook", "-i", INVENTORY, "ansible/site.yml", "--limit", place.group]
    done = run(f"killed-{number:02}", command, environment, COMMAND_SECONDS)
    assert done.code == -signal.SIGKILL, f"not killed at {place}: {done}"
    return done
