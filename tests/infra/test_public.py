"""The public name: TLS, redirect, tokens, WebSocket and limits, as a client from outside meets them."""

from __future__ import annotations

import asyncio
import http.client
import socket
from typing import Any

import aiohttp
import pytest

from .conftest import Access


def ask(
    access: Access, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None
) -> tuple[int, dict[str, str], bytes]:
    """One HTTPS exchange with the public name: status, headers in lower case, body."""
    connection = http.client.HTTPSConnection(access.host, access.port, context=access.tls(), timeout=30)
    raw = socket.create_connection((access.address, access.port), timeout=30)
    connection.sock = access.tls().wrap_socket(raw, server_hostname=access.host)
    try:
        connection.request(method, path, body=body, headers={"Host": access.host, **(headers or {})})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def test_plain_http_is_sent_on_to_https(access: Access) -> None:
    connection = http.client.HTTPConnection(access.address, access.http_port, timeout=30)
    connection.request("GET", "/system_stats?x=1", headers={"Host": access.host})
    answer = connection.getresponse()
    assert answer.status in (301, 307, 308)
    assert answer.getheader("Location") == f"https://{access.host}/system_stats?x=1"


# Suffixes that some authentication add-ons for ComfyUI let through are among them.
PATHS = ("/system_stats", "/", "/api/queue", "/user.css", "/userdata/x.js", "/view?filename=a.png")
WRONG: tuple[dict[str, str], ...] = (
    {},
    {"Authorization": "Bearer"},
    {"Authorization": "Basic dXNlcjpwYXNz"},
    {"Authorization": "Bearer " + "0" * 64},
    {"X-API-Key": "-"},
    {"X-API-Key": "0" * 64},
)


@pytest.mark.parametrize("path", PATHS)
def test_without_a_valid_token_every_path_answers_401(access: Access, path: str) -> None:
    for headers in WRONG:
        status, answer, body = ask(access, "GET", path, headers)
        assert status == 401, (headers, body[:300])
        assert answer["www-authenticate"].startswith("Bearer")


def test_the_token_opens_the_service_in_both_headers(access: Access) -> None:
    for headers in ({"Authorization": f"Bearer {access.token}"}, {"X-API-Key": access.token}):
        status, _, body = ask(access, "GET", "/system_stats", headers)
        assert status == 200, body[:300]
        assert b"comfyui_version" in body


def test_an_encoded_slash_reaches_comfyui_as_it_was_sent(access: Access) -> None:
    status, _, body = ask(
        access, "GET", "/userdata/verify%2Fnone.json", {"Authorization": f"Bearer {access.token}"}
    )
    # A decoded slash would match no route at all and be answered as an unknown page.
    assert status == 404, body[:300]


def test_a_body_over_the_limit_is_refused_before_comfyui(access: Access) -> None:
    headers = {
        "Authorization": f"Bearer {access.token}",
        "Content-Length": str(access.deployed["max_upload_bytes"] + 1),
        "Content-Type": "application/octet-stream",
    }
    status, _, _ = ask(access, "POST", "/upload/image", headers, body=b"")
    # 413 from the edge, or IIS' 404.13.
    assert status in (404, 413)


async def _first_message(access: Access, headers: dict[str, str]) -> dict[str, Any]:
    class Resolver(aiohttp.abc.AbstractResolver):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[aiohttp.abc.ResolveResult]:
            address = socket.gethostbyname(access.address)
            place = aiohttp.abc.ResolveResult(
                hostname=host, host=address, port=access.port, family=socket.AF_INET, proto=0, flags=0
            )
            return [place]

        async def close(self) -> None:
            return None

    connector = aiohttp.TCPConnector(resolver=Resolver(), ssl=access.tls())
    async with aiohttp.ClientSession(connector=connector) as session:
        url = f"{access.url}/ws?clientId=verify"
        # compress: browsers offer it, and ARR breaks a socket on which the backend accepted it.
        async with session.ws_connect(
            url, headers=headers, compress=15, timeout=aiohttp.ClientWSTimeout(20)
        ) as ws:
            message = await ws.receive(timeout=20)
            assert message.type is aiohttp.WSMsgType.TEXT, message
            document: dict[str, Any] = message.json()
            return document


def test_the_websocket_works_through_the_public_name(access: Access) -> None:
    message = asyncio.run(_first_message(access, {"Authorization": f"Bearer {access.token}"}))
    assert message["type"] == "status"


def test_the_websocket_is_refused_without_a_token(access: Access) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        asyncio.run(_first_message(access, {}))
    assert refused.value.status == 401


def test_the_certificate_is_checked_and_names_the_public_name(access: Access) -> None:
    with (
        socket.create_connection((access.address, access.port), timeout=30) as raw,
        access.tls().wrap_socket(raw, server_hostname=access.host) as secured,
    ):
        assert secured.version() in ("TLSv1.2", "TLSv1.3")
