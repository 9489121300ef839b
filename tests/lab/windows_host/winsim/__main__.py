"""Run the simulated Windows machine: `python3 -m winsim`.

Control plane: WinRM over HTTPS. Data plane: IIS and ARR, serving what the control plane was told.
WINSIM_GUEST names the container that plays the WSL guest, where that is not "gpu-host"; WINSIM_FLAVOUR is
"server-2022" (default) or "windows-11"; with WINSIM_EMPTY=1 it comes from the shelf, without WSL. Each start is a boot
of the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from .endpoint import WinRmServer, install_users, read_users
from .machine import prepare
from .power import boot, live
from .scheduler import Scheduler
from .state import Store


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="winsim", description=__doc__)
    parser.add_argument("--state", type=Path, default=Path("/var/lib/winsim"), help="what survives a restart")
    parser.add_argument(
        "--config", type=Path, default=Path("/etc/winsim"), help="folder of winrm.crt, winrm.key and users"
    )
    parser.add_argument("--address", default="0.0.0.0", help="where WinRM listens")  # noqa: S104
    parser.add_argument("--winrm-port", type=int, default=5986, help="0 takes a free port and prints it")
    parser.add_argument("--http-port", type=int, default=80)
    parser.add_argument("--https-port", type=int, default=443)
    parser.add_argument("--control-plane-only", action="store_true", help="no IIS: for tests of WinRM alone")
    return parser.parse_args()


async def _serve(store: Store, options: argparse.Namespace) -> bool:
    """Until SIGTERM, SIGINT or a reboot; ends with the data plane's error if that one ends first.

    True says that the machine is to come up again.
    """
    stop = asyncio.Event()
    rebooting = threading.Event()
    loop = asyncio.get_running_loop()

    def restart(seconds: float) -> None:
        rebooting.set()
        loop.call_soon_threadsafe(loop.call_later, seconds, stop.set)

    store.restart = restart
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    tasks: list[asyncio.Task[Any]] = [asyncio.create_task(stop.wait())]
    if not options.control_plane_only:
        from .iis.server import serve

        tasks.append(asyncio.create_task(serve(store, options.http_port, options.https_port)))
    finished, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    for task in finished:
        task.result()
    return rebooting.is_set()


def main() -> int:
    options = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    needed = [options.config / name for name in ("winrm.crt", "winrm.key", "users")]
    absent = [str(path) for path in needed if not path.is_file()]
    if absent:
        print(f"winsim: found no {', '.join(absent)}; mount the folder that holds them", file=sys.stderr)
        return 2
    certificate, key, users = needed
    with tempfile.TemporaryDirectory(prefix="winsim-") as private:
        try:
            install_users(users, Path(private))
            store = Store(options.state)
            store.accounts = read_users(users)
            prepare(
                store,
                guest=os.environ.get("WINSIM_GUEST", "gpu-host"),
                flavour=os.environ.get("WINSIM_FLAVOUR", "server-2022"),
                owner=next(iter(store.accounts)),
                empty=os.environ.get("WINSIM_EMPTY") == "1",
            )
        except ValueError as error:
            print(f"winsim: {error}", file=sys.stderr)
            return 2
        boot(store)
        store.scheduler = Scheduler(store, after=lambda: live(store))
        # What starts with Windows is there before anybody can log on.
        store.scheduler.begin()
        store.scheduler.tick()
        down = threading.Event()
        threading.Thread(target=store.scheduler.serve, args=(down,), name="tasks", daemon=True).start()
        server = WinRmServer((options.address, options.winrm_port), store, certificate, key)
        threading.Thread(target=server.serve_forever, name="winrm", daemon=True).start()
        print(f"WinRM listens on port {server.server_port}", flush=True)
        again = asyncio.run(_serve(store, options))
        down.set()
        server.shutdown()
        server.server_close()
    if again:
        # A new process in the place of this one: no connection, thread or memory outlives a reboot.
        port = ["--winrm-port", str(server.server_port)]
        os.execv(sys.executable, [sys.executable, "-m", str(__package__), *sys.argv[1:], *port])  # noqa: S606
    return 0


if __name__ == "__main__":
    sys.exit(main())
