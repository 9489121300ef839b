"""What the routes share: one object per server, kept in the application."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from .events import Hub
from .executor import Executor
from .job_queue import JobQueue
from .log import RecentLines
from .node_contract import NodeContract
from .node_run import Setup


@dataclass
class State:
    setup: Setup
    contract: NodeContract
    queue: JobQueue
    hub: Hub
    executor: Executor
    recent_lines: RecentLines
    argv: list[str]
    next_number: int = field(default=0)

    def queue_info(self) -> dict[str, Any]:
        return {"exec_info": {"queue_remaining": self.queue.remaining()}}


STATE: web.AppKey[State] = web.AppKey("state", State)
