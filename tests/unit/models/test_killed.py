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
SIZE = 48_000_000
# Of each of the eight connections: read from the line and not written yet when the end came; after a kill of
# everything, the piece that it was at, and one more on a machine that is busy. And what the source had sent ahead to
# a connection that aria2 gave up, two of its chunks: ranges that were asked for overlap, bytes that came do not lie.
IN_FLIGHT = {False: (8 << 17) + (16 << 18), True: (16 << 20) + (16 << 18)}


def _killed_half_way(site: Site, kill: signal.Signals, everything: bool = False) -> None:
    site.source.rate = 2_000_000  # eight connections: three seconds for the whole
    command = [sys.executable, "-m", "comfystack.models", "fetch", "--dir", site.folder, "--lock", site.lock]
    command += ["--mirror", site.source.url, "--reserve", "0", "--quiet"]
    environment = {**os.environ, "PYTHONPATH": str(CLIENT)}
    (known,) = site.known()
    with subprocess.Popen(list(map(str, command)), env=environment) as process:
        while site.store.received(known) < SIZE // 2:
            assert process.poll() is None
            site.source.moving.wait()
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.send_signal(kill)
        for child in children if everything else []:
            os.kill(int(child), kill)
    # aria2 may still put away what it has: it holds the lock until then.
    with (site.folder / ".comfystack-lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
    site.source.rate = 8_000_000  # slow enough that nothing is sent far ahead


@pytest.mark.parametrize(
    ("kill", "everything"),
    [(signal.SIGKILL, True), (signal.SIGKILL, False), (signal.SIGTERM, False), (signal.SIGINT, False)],
)
def test_the_next_run_fetches_what_is_missing(
    kill: signal.Signals, everything: bool, site: Site, quiet: Display
) -> None:
    content = site.add("a", SIZE)
    _killed_half_way(site, kill, everything)
    assert not site.final("a").exists()
    (known,) = site.known()
    kept = site.store.received(known)
    sent = site.source.sent
    assert site.fetch(quiet).fetched
    assert site.final("a").read_bytes() == content
    again = site.source.sent - sent
    assert again <= SIZE - kept + SIZE // 100 + IN_FLIGHT[everything]


def test_half_a_file_that_was_spoilt_meanwhile_is_found_and_fetched_whole(site: Site, quiet: Display) -> None:
    content = site.add("a", SIZE)
    _killed_half_way(site, signal.SIGKILL)
    with (site.folder / "loras" / ".a.safetensors.part").open("r+b") as part:
        part.write(b"\0" * 100_000)
    assert site.fetch(quiet).fetched
    assert site.final("a").read_bytes() == content


def test_what_never_reached_the_disk_is_fetched_again_whatever_the_note_says(
    site: Site, quiet: Display
) -> None:
    """A power cut: the note is there, and some of the pieces that it has are holes."""
    content = site.add("a", SIZE)
    _killed_half_way(site, signal.SIGKILL)
    part = site.folder / "loras" / ".a.safetensors.part"
    subprocess.run(["fallocate", "--punch-hole", "--offset", "0", "--length", "200000", part], check=True)
    assert site.fetch(quiet).fetched
    assert site.final("a").read_bytes() == content
    assert "once more, whole" not in site.log.getvalue()


def test_half_a_file_whose_notes_are_lost_is_gone_on_with_all_the_same(site: Site, quiet: Display) -> None:
    content = site.add("a", SIZE)
    _killed_half_way(site, signal.SIGKILL)
    (site.folder / "loras" / ".a.safetensors.part.aria2").unlink()
    assert site.fetch(quiet).fetched
    assert site.final("a").read_bytes() == content
