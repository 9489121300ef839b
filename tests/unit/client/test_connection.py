"""Whom the client trusts, where it connects, and what it says when that fails."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from comfystack import (
    AuthenticationError,
    ComfyClient,
    ComfyError,
    InputError,
    ServerGoneError,
    ThrottledError,
    TlsError,
    TooLargeError,
    UnexpectedAnswerError,
    transport,
)

from .conftest import GRAPH, PUBLIC_NAME, Connect, Site
from .scripted import ScriptedServer, png


@pytest.fixture
def public(site: Site) -> Iterator[ScriptedServer]:
    """The service under its public name, reachable only at another address."""
    with ScriptedServer(token="s3cret", tls=site.server_context()) as server:  # noqa: S106
        yield server


def client_of(public: ScriptedServer, ca: Path | None, name: str = PUBLIC_NAME) -> ComfyClient:
    return ComfyClient(f"https://{name}", "s3cret", ca, f"127.0.0.1:{public.port}", timeout=10)


def test_connect_to_moves_the_connection_and_nothing_else(public: ScriptedServer, site: Site) -> None:
    with client_of(public, site.ca) as client:
        result = client.run(GRAPH)
        assert client.view(result.images[0]) == png()
    assert {headers["Host"] for headers in public.headers} == {PUBLIC_NAME}
    assert set(public.server_names) == {PUBLIC_NAME}
    assert public.sent("/ws"), "the WebSocket goes the same way"


def test_connect_to_takes_a_host_name_too(public: ScriptedServer, site: Site) -> None:
    with ComfyClient(f"https://{PUBLIC_NAME}", "s3cret", site.ca, f"localhost:{public.port}") as client:
        assert "system" in client.system_stats()


def test_a_certificate_of_another_ca_is_refused(public: ScriptedServer, site: Site) -> None:
    with (
        client_of(public, site.other_ca) as client,
        pytest.raises(TlsError, match=r"not trusted.*--ca-file"),
    ):
        client.run(GRAPH)
    assert not public.requests


def test_the_system_does_not_trust_the_lab(public: ScriptedServer) -> None:
    with client_of(public, None) as client, pytest.raises(TlsError, match="not trusted"):
        client.system_stats()


def test_a_certificate_for_another_name_is_refused(public: ScriptedServer, site: Site) -> None:
    with (
        client_of(public, site.ca, "other.comfystack.test") as client,
        pytest.raises(TlsError, match="other"),
    ):
        client.system_stats()


def test_a_server_without_tls_is_told_apart_from_a_bad_certificate(
    server: ScriptedServer, site: Site
) -> None:
    with client_of(server, site.ca) as client, pytest.raises(TlsError, match="speaks TLS"):
        client.system_stats()


def test_connect_to_for_an_address_is_refused_because_it_would_not_take_place() -> None:
    with pytest.raises(InputError, match="already an address"):
        ComfyClient("https://192.0.2.1", connect_to="127.0.0.1:8443")


@pytest.mark.parametrize("text", ["8443", "host:", ":8443", "host:0", "host:70000", "host:http", "host:²"])
def test_a_malformed_connect_to_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="HOST:PORT"):
        ComfyClient("https://name.test", connect_to=text)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "name.test",
        "ftp://name.test",
        "https://",
        "https://u:p@name.test",
        "http://[",
        "http://name.test/?token=x",
    ],
)
def test_a_url_that_is_not_the_service_is_refused(url: str) -> None:
    with pytest.raises(InputError):
        ComfyClient(url)


def test_a_ca_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("no certificate")
    for name in ("empty.pem", "missing.pem"):
        with pytest.raises(InputError, match=name):
            ComfyClient("https://name.test", ca_file=tmp_path / name)


def test_the_token_opens_http_and_websocket_and_is_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with ScriptedServer(token="s3cret") as server, ComfyClient(server.url, "s3cret", timeout=10) as client:  # noqa: S106
        client.run(GRAPH)
        assert {headers.get("Authorization") for headers in server.headers} == {"Bearer s3cret"}
        assert server.sent("/ws")
        assert "s3cret" not in f"{client!r} {client._transport!r} {caplog.text}"


@pytest.mark.parametrize(("token", "says"), [(None, "no token was sent"), ("wrong", "was not accepted")])
def test_a_refused_token_is_an_authentication_error(token: str | None, says: str) -> None:
    with ScriptedServer(token="s3cret") as server, ComfyClient(server.url, token) as client:  # noqa: S106
        with pytest.raises(AuthenticationError, match=says) as caught:
            client.run(GRAPH)
        assert not server.sent("/prompt")
        assert token is None or token not in str(caught.value)


def test_a_token_that_would_break_the_header_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        ComfyClient("https://name.test", "good\r\nX-Evil: 1")
    assert "Evil" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "error", "says"),
    [
        (403, AuthenticationError, "403"),
        (413, TooLargeError, "too large"),
        (404, TooLargeError, "IIS answers 404"),
        (502, ServerGoneError, "the service behind it is not"),
        (503, ServerGoneError, "the service behind it is not"),
        (500, UnexpectedAnswerError, "Server got itself in trouble"),
    ],
)
def test_each_status_of_an_upload_has_its_meaning(
    server: ScriptedServer, connect: Connect, status: int, error: type[ComfyError], says: str
) -> None:
    server.answers_for_ever["/upload/image"] = (status, "<h1>Server got itself in trouble\x1b[2J</h1>")
    with pytest.raises(error, match=says) as caught:
        connect(server).upload_image(png())
    assert "\x1b" not in str(caught.value), "a server's text does not drive the terminal"


@pytest.mark.parametrize(
    ("status", "error", "says", "next_step"),
    [
        (
            403,
            AuthenticationError,
            "answered 403 to /free: this needs a token of scope admin",
            "token may do",
        ),
        (429, ThrottledError, "answered 429: this needs a token of scope admin", "wait 60 seconds"),
    ],
)
def test_the_service_s_own_words_are_told(
    server: ScriptedServer,
    connect: Connect,
    status: int,
    error: type[ComfyError],
    says: str,
    next_step: str,
) -> None:
    told = {"error": {"type": "permission", "message": "this needs a token of scope admin"}}
    server.answers_for_ever["/free"] = (status, told)
    with pytest.raises(error, match=says) as caught:
        connect(server).free()
    assert next_step in caught.value.next_step


def test_a_service_that_asks_to_wait_does_not_lose_the_job(server: ScriptedServer, connect: Connect) -> None:
    server.answers_for_ever["/ws"] = (404, "no such route")
    server.answers["/queue"] = [(429, {"error": {"message": "too many requests"}})]
    assert connect(server).run(GRAPH).images


def test_a_redirect_is_reported_and_the_token_does_not_follow_it(
    server: ScriptedServer, connect: Connect
) -> None:
    with ScriptedServer() as elsewhere:
        server.answers_for_ever["/prompt"] = (301, elsewhere.url)
        with pytest.raises(UnexpectedAnswerError, match=f"redirects to {elsewhere.url}"):
            connect(server, token="s3cret").run(GRAPH)  # noqa: S106
        assert not elsewhere.requests


def test_a_portal_page_is_not_taken_for_the_service(server: ScriptedServer, connect: Connect) -> None:
    server.answers_for_ever["/prompt"] = (200, "<html>Welcome</html>")
    with pytest.raises(UnexpectedAnswerError, match="not JSON"):
        connect(server).run(GRAPH)


def test_a_closed_port_is_a_server_that_is_gone() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with ComfyClient(url) as client, pytest.raises(ServerGoneError, match="nothing answers"):
            client.run(GRAPH)


def test_a_name_that_does_not_resolve_is_named() -> None:
    with (
        ComfyClient("http://no-such-host.invalid") as client,
        pytest.raises(ServerGoneError, match=r"no-such-host.invalid does not resolve.*--connect-to"),
    ):
        client.system_stats()


def test_a_server_that_accepts_and_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "EXCHANGE_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with ComfyClient(url) as client, pytest.raises(ServerGoneError, match="did not answer in time"):
            client.system_stats()
