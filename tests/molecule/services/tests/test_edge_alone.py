"""No gateway in front: the edge alone keeps strangers out, and leads those with a token to ComfyUI."""

from __future__ import annotations

import hashlib
import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

EDGE = "http://127.0.0.1:8188"
# The guest has no curl. Prints the status, and the body as text.
_ASK = (
    "import json, sys, urllib.error, urllib.request as r\n"
    "try: a = r.urlopen(r.Request(sys.argv[1], headers=json.loads(sys.stdin.read())), timeout=20)\n"
    "except urllib.error.HTTPError as error: a = error\n"
    "print(json.dumps([a.status, a.read().decode()]))"
)


def ask(guest: Host, path: str, headers: dict[str, str]) -> tuple[int, str]:
    """Status and body of a GET from the guest to the edge; the headers go through a pipe, not a command line."""
    asked = f"printf %s {shlex.quote(json.dumps(headers))} | python3 -c {shlex.quote(_ASK)} {EDGE}{path}"
    status, body = json.loads(guest.check_output(asked))
    return status, body


@pytest.fixture(scope="session")
def token(lab: Path) -> str:
    return (lab / "token").read_text().strip()


@pytest.fixture(scope="session")
def stats(guest: Host, token: str) -> dict[str, Any]:
    """ComfyUI's /system_stats, as somebody with the token gets it."""
    status, body = ask(guest, "/system_stats", {"X-API-Key": token})
    assert status == 200, body
    found: dict[str, Any] = json.loads(body)
    return found


@pytest.mark.parametrize("path", ["/", "/system_stats", "/api/queue", "/ws"])
def test_a_stranger_is_sent_away(guest: Host, path: str) -> None:
    for headers in ({}, {"X-API-Key": "0" * 64}, {"Authorization": "Bearer " + "0" * 64}):
        status, body = ask(guest, path, headers)
        assert status == 401, (headers, body)


def test_somebody_with_the_token_reaches_comfyui(stats: dict[str, Any]) -> None:
    assert stats["system"]["comfyui_version"]


def test_comfyui_computes_on_the_pinned_card(stats: dict[str, Any]) -> None:
    names = [device["name"] for device in stats["devices"]]
    assert len(names) == 1
    assert "NVIDIA GeForce RTX 3090" in names[0]


def test_nodes_come_from_the_mirror_and_from_a_clone_on_the_guest(guest: Host) -> None:
    nodes = guest.check_output("docker exec comfyui-qwen ls custom_nodes").split()
    assert {"ComfyUI-GGUF", "ComfyUI-QwenImageWanBridge"} <= set(nodes)
    requirements = guest.file("/opt/comfystack/comfyui-image/requirements/ComfyUI-GGUF.txt")
    assert requirements.exists, "the node's own requirements are installed with it"


def test_the_containers_are_healthy_and_only_the_edge_has_a_port(guest: Host) -> None:
    listed = guest.check_output("docker ps --format '{{json .}}'")
    containers = {one["Names"]: one for one in map(json.loads, listed.splitlines())}
    assert set(containers) == {"comfyui-qwen", "api", "edge"}
    assert all("(healthy)" in one["Status"] for one in containers.values())
    published = {name for name, one in containers.items() if "->" in one["Ports"]}
    assert published == {"edge"}


def test_the_models_cannot_be_written_by_comfyui(guest: Host) -> None:
    written = guest.run("docker exec comfyui-qwen touch /opt/comfyui/models/x")
    assert written.rc != 0
    assert "Read-only file system" in written.stderr


def test_of_a_token_the_host_has_its_digest_and_nobody_but_the_service_can_read_that(
    guest: Host, token: str
) -> None:
    tokens = guest.file("/opt/comfystack/api/conf/tokens.json")
    assert (tokens.user, tokens.mode) == ("root", 0o640)
    assert hashlib.sha256(token.encode()).hexdigest() in tokens.content_string
    assert token not in tokens.content_string
    assert guest.file("/opt/comfystack/api/conf").mode == 0o750
    assert guest.file("/opt/comfystack/api/state").mode == 0o700
    assert not guest.file("/opt/comfystack/edge/conf/tokens.map").exists


def test_nobody_is_let_in_while_the_service_is_away(guest: Host, token: str) -> None:
    guest.check_output("docker stop api")
    try:
        for headers in ({}, {"X-API-Key": token}):
            for path in ("/system_stats", "/x.css", "/ws"):
                status, body = ask(guest, path, headers)
                assert (status, json.loads(body)["error"]["type"]) == (503, "undecided"), (path, body)
    finally:
        guest.check_output("docker compose -f /opt/comfystack/api/compose.yml up -d --wait")
    assert ask(guest, "/system_stats", {"X-API-Key": token})[0] == 200
