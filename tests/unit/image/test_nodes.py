"""A ComfyUI that lacks a node class of the image is ended, with the reason; one that has all is marked as whole."""

from __future__ import annotations

import http.server
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.lab.names import ROOT
from tests.own_modules import load

IMAGE = ROOT / "comfyui" / "image"
nodes: ModuleType = load("comfyui_image_nodes", IMAGE / "nodes.py")
health: ModuleType = load("comfyui_image_healthcheck", IMAGE / "healthcheck.py")
EXPECTED = {"the shipped workflows": ["KSampler", "SaveImage"], "Pack": ["PackLoader"]}


class Server(http.server.BaseHTTPRequestHandler):
    """Answers 503 once, as a ComfyUI that is still starting, then with its classes."""

    classes: tuple[str, ...] = ()
    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        self.send_response(503 if self.asked == 1 else 200)
        self.end_headers()
        self.wfile.write(json.dumps(dict.fromkeys(self.classes)).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def comfyui(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """A process that stands for ComfyUI's, behind an address of its own."""
    Server.asked = 0
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (tmp_path / "nodes.json").write_text(json.dumps(EXPECTED))
    monkeypatch.setattr(nodes, "EXPECTED", tmp_path / "nodes.json")
    monkeypatch.setattr(nodes, "MARK", tmp_path / "mark")
    monkeypatch.setattr(nodes, "URL", f"http://127.0.0.1:{server.server_port}/object_info")
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        server.shutdown()
        server.server_close()


def test_with_all_classes_it_serves_on(comfyui: subprocess.Popen[bytes], tmp_path: Path) -> None:
    Server.classes = ("KSampler", "SaveImage", "PackLoader", "One more")
    assert nodes.main(comfyui.pid) == 0
    assert comfyui.poll() is None
    assert (tmp_path / "mark").exists()


def test_without_a_class_of_a_pack_it_is_ended_and_the_class_is_told(
    comfyui: subprocess.Popen[bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mark").touch()  # of an earlier start
    Server.classes = ("KSampler", "SaveImage")
    assert nodes.main(comfyui.pid) == 1
    assert comfyui.wait() == -signal.SIGTERM
    said = capsys.readouterr().err
    assert "found: ComfyUI does not have the node classes PackLoader (of Pack)\n" in said
    assert [line.partition(": ")[0] for line in said.splitlines()] == ["found", "expected", "next step"]
    assert not (tmp_path / "mark").exists()


def test_where_comfyui_ends_by_itself_there_is_nothing_to_say(
    comfyui: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    comfyui.kill()
    comfyui.wait()
    assert nodes.main(comfyui.pid) == 0
    assert not (tmp_path / "mark").exists()


def test_docker_is_told_of_health_only_after_the_comparison() -> None:
    assert health.NODES == nodes.MARK
