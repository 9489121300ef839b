"""The application and its life: routes, the worker thread, the listening sockets."""

from __future__ import annotations

import argparse
import asyncio
import errno
import logging
import threading
from pathlib import Path
from typing import Any

from aiohttp import web

from . import file_routes, info_routes, prompt_routes, socket_routes, user_routes
from .events import Hub
from .executor import Executor
from .folders import Folders
from .guard import allow_origin, compress_text, refuse_foreign_origins, set_cache_headers
from .job_queue import JobQueue
from .log import RecentLines
from .node_contract import NodeContract
from .node_run import Setup, step_seconds_from_environment
from .state import STATE, State

_log = logging.getLogger(__name__)

WEB_ROOT = Path(__file__).parent / "web"
_root_routes = web.RouteTableDef()


@_root_routes.get("/")
async def _root(request: web.Request) -> web.FileResponse:
    headers = {"Cache-Control": "no-store, must-revalidate", "Pragma": "no-cache", "Expires": "0"}
    return web.FileResponse(WEB_ROOT / "index.html", headers=headers)


def build_state(
    options: argparse.Namespace,
    folders: Folders,
    contract: NodeContract,
    recent_lines: RecentLines,
    argv: list[str],
    loop: asyncio.AbstractEventLoop,
) -> State:
    setup = Setup(options, folders, threading.Event(), step_seconds_from_environment())
    hub = Hub(loop)
    queue = JobQueue(
        lambda: hub.send("status", {"status": {"exec_info": {"queue_remaining": queue.remaining()}}}),
        setup.interrupt,
    )
    executor = Executor(setup, contract, queue, hub)
    return State(setup, contract, queue, hub, executor, recent_lines, argv)


def build_app(state: State, versions: dict[str, str]) -> web.Application:
    options = state.setup.options
    middlewares: list[Any] = [set_cache_headers]
    if options.enable_compress_response_body:
        middlewares.append(compress_text)
    if options.enable_cors_header:
        middlewares.append(allow_origin(options.enable_cors_header))
    else:
        middlewares.append(refuse_foreign_origins)
    limit = round(options.max_upload_size * 1024 * 1024)
    app = web.Application(client_max_size=limit, middlewares=middlewares)
    app[STATE] = state
    app[info_routes.VERSIONS] = versions
    app.add_routes(info_routes.internal_routes)
    for table in (
        _root_routes,
        info_routes.routes,
        prompt_routes.routes,
        file_routes.routes,
        user_routes.routes,
        socket_routes.routes,
    ):
        for route in table:
            if isinstance(route, web.RouteDef):
                # Every route stands under /api too.
                app.router.add_route(route.method, "/api" + route.path, route.handler)
        app.add_routes(table)
    app.add_routes([web.static("/", WEB_ROOT)])
    return app


async def serve(app: web.Application) -> None:
    """Listens and works until the process ends.

    No signal handler is installed, as in the real program: as process 1 of a container it ignores SIGTERM.
    """
    state = app[STATE]
    options = state.setup.options
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    threading.Thread(target=state.executor.work, daemon=True, name="prompt-worker").start()
    if not options.dont_print_server:
        _log.info("Starting server\n")
    for address in options.listen.split(","):
        try:
            await web.TCPSite(runner, address, options.port).start()
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            _log.error(
                "Port %s is already in use on address %s. Please close the other application or use a "
                "different port with --port.",
                options.port,
                address,
            )
            raise SystemExit(1) from error
        if not options.dont_print_server:
            shown = f"[{address}]" if ":" in address else address
            _log.info("To see the GUI go to: http://%s:%s", shown, options.port)
    await state.hub.publish()
