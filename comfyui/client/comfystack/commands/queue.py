"""`comfystack queue` and `comfystack cancel`: what runs and waits, and taking something out of it."""

from __future__ import annotations

import argparse
from typing import Any

from ..errors import InputError
from ..telling import add_json, tell
from . import service
from .making import Commands


def add_to(commands: Commands[argparse.ArgumentParser]) -> None:
    """The commands `queue` and `cancel`."""
    queue = commands.add_parser("queue", help="what the service works on, and what waits")
    queue.set_defaults(action=_queue)
    cancel = commands.add_parser("cancel", help="take jobs out of the queue, or stop them where they run")
    cancel.set_defaults(action=_cancel)
    cancel.add_argument("ids", nargs="+", metavar="ID", help="as `comfystack queue` prints it")
    for parser in (queue, cancel):
        add_json(parser)
        service.add_arguments(parser)


def jobs_of(queue: dict[str, Any]) -> list[dict[str, Any]]:
    """GET /queue as rows: id, state, place (0 runs) and number of nodes, in the order in which they run."""
    running = [_row(item, "running", 0) for item in queue.get("queue_running") or ()]
    waiting = sorted(queue.get("queue_pending") or (), key=lambda item: float(item[0]))
    return running + [_row(item, "waiting", place) for place, item in enumerate(waiting, start=1)]


def _row(item: list[Any], state: str, place: int) -> dict[str, Any]:
    graph = item[2] if len(item) > 2 and isinstance(item[2], dict) else {}
    return {"id": str(item[1]), "state": state, "place": place, "nodes": len(graph)}


def _queue(args: argparse.Namespace) -> None:
    with service.connect(args) as client:
        rows = jobs_of(client.queue())
    lines = [f"{row['id']}  {row['state']:8} {row['nodes']:3} nodes" for row in rows]
    tell(args, "\n".join(lines) or "nothing runs, nothing waits", {"jobs": rows})


def _cancel(args: argparse.Namespace) -> None:
    with service.connect(args) as client:
        known = {row["id"] for row in jobs_of(client.queue())}
        unknown = [job for job in args.ids if job not in known]
        if unknown:
            raise InputError(
                f"{', '.join(unknown)} neither runs nor waits; nothing was cancelled",
                "ids of the queue",
                "look at `comfystack queue`; a job that ended cannot be cancelled",
            )
        for job in args.ids:
            client.cancel(job)
    tell(args, "\n".join(f"{job} cancelled" for job in args.ids), {"cancelled": args.ids})
