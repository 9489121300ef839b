"""Each public name leads to its own port of the guest; the guest's only card can be pinned like any other."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

from tests.lab.names import PUBLIC_NAME

PORTS = {PUBLIC_NAME: 8188, "forge.comfystack.test": 17861}


def get(lab: Path, name: str, path: str, *, tls: bool) -> tuple[int, str | None, bytes]:
    """Status, Location and body of a GET for a public name; the lab's authority is the only one trusted."""
    record = json.loads((lab / "lab.json").read_text())
    connection = http.client.HTTPConnection(record["address"], record["ports"]["http"], timeout=30)
    if tls:
        context = ssl.create_default_context(cafile=lab / "ca.pem")
        raw = socket.create_connection((record["address"], record["ports"]["https"]), timeout=30)
        connection.sock = context.wrap_socket(raw, server_hostname=name)
    try:
        connection.request("GET", path, headers={"Host": name})
        answer = connection.getresponse()
        return answer.status, answer.getheader("Location"), answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize("name", PORTS)
def test_each_name_leads_to_its_own_port_of_the_guest(lab: Path, name: str) -> None:
    status, _, body = get(lab, name, "/port", tls=True)
    assert (status, body) == (200, str(PORTS[name]).encode())


def test_plain_http_is_sent_on_where_that_is_asked_for(lab: Path) -> None:
    status, location, _ = get(lab, PUBLIC_NAME, "/port?x=1", tls=False)
    assert (status, location) == (301, f"https://{PUBLIC_NAME}/port?x=1")


def test_plain_http_is_answered_where_it_is_not(lab: Path) -> None:
    status, location, body = get(lab, "forge.comfystack.test", "/port", tls=False)
    assert (status, location, body) == (200, None, b"17861")


def test_a_name_that_is_nobodys_is_not_forwarded(lab: Path) -> None:
    status, _, body = get(lab, "stranger.example.org", "/port", tls=False)
    assert status == 404
    assert body not in (b"8188", b"17861")


def test_the_only_card_is_number_0_in_both_forms(pins: dict[str, Any]) -> None:
    uuid, index = pins["by-uuid"], pins["by-index"]
    assert uuid["uuid"] == index["uuid"] == "GPU-e47b2d90-35c8-4f16-8a0e-c92f61d3b7a4"
    assert uuid["index"] == index["index"] == 0
    assert uuid["environment"]["CUDA_VISIBLE_DEVICES"] == uuid["uuid"]
    assert index["environment"]["CUDA_VISIBLE_DEVICES"] == "0"
