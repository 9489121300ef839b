"""A fetch that is killed goes on where it was, and never leaves a file that only looks whole."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from comfystack.models.display import Display

from .conftest import Site

CLIENT = Path(__file__).resolve().parents[3] / "comfyui" / "client"
SIZE = 24_000_000
# Read from the line and not written yet when the end came, of each of the connections.
IN_FLIGHT = 8 * 1 << 17


def _killed_half_way(site: Site, kill: signal.Signals) -> None:
    site.source.rate = 1_000_000  # eight connections: three seconds for the whole
    command = [sys.executable, "-m", "comfystack.models", "fetch", "--dir", site.folder, "--lock", site.lock]
    command += ["--mirror", site.source.url, "--reserve", "0", "--quiet"]
    environment = {**os.environ, "PYTHONPATH": str(CLIENT)}
    (known,) = site.known()
    with subprocess.Popen(list(map(str, command)), env=environment) as process:
        while site.store.received(known) < SIZE // 2:
            assert process.poll() is None
            site.source.moving.wait()
        process.send_signal(kill)
    # aria2 may still put away what it has: it holds the lock until then.
    with (site.folder / ".comfystack-lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
    site.source.rate = None


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda one: one.name)
def test_the_next_run_fetches_what_is_missing(kill: signal.Signals, site: Site, quiet: Display) -> None:
    content = site.add("a", SIZE)
    _killed_half_way(site, kill)
    assert not site.final("a").exists()
    (known,) = site.known()
    kept = site.store.received(known)
    site.source.asked.clear()
    assert site.fetch(quiet).fetched
    assert site.final("a").read_bytes() == content
    asked = [one for one in site.source.header("Range") if one and one != "bytes=0-0"]
    again = sum(int(one.partition("-")[2]) - int(one[6:].partition("-")[0]) + 1 for one in asked)
    assert again <= SIZE - kept + SIZE // 100 + IN_FLIGHT


def test_half_a_file_that_was_spoilt_meanwhile_is_found_and_fetched_whole(site: Site, quiet: Display) -> None:
    content = site.add("a", SIZE)
    _killed_half_way(site, signal.SIGKILL)
    with (site.folder / "loras" / ".a.safetensors.part").open("r+b") as part:
        part.write(b"\0" * 100_000)
    assert site.fetch(quiet).fetched
    assert site.final("a").read_bytes() == content


def test_half_a_file_whose_notes_are_lost_is_begun_again(site: Site, quiet: Display) -> None:
    content = site.add("a", SIZE)
    _killed_half_way(site, signal.SIGKILL)
    (site.folder / "loras" / ".a.safetensors.part.aria2").unlink()
    assert site.fetch(quiet).fetched
    assert site.final("a").read_bytes() == content
