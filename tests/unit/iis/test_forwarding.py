"""ARR's part: what a server-level setting, a Windows feature or the port proxy does to the way through."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from tests.lab.windows_host.winsim.iis import proxysettings
from tests.lab.windows_host.winsim.iis.errors import NotModelledError
from tests.lab.windows_host.winsim.iis.proxysettings import ProxySettings
from tests.lab.windows_host.winsim.state import State
from tests.unit.iis.machine import NAME, Machine, on_machine


def _set(machine: Machine, **settings: Any) -> None:
    with machine.store.edit() as state:
        state.server_config["system.webServer/proxy"].update(settings)


def _unset(machine: Machine, *names: str) -> None:
    with machine.store.edit() as state:
        for name in names:
            del state.server_config["system.webServer/proxy"][name]


@on_machine
async def test_compressed_frames_kill_the_socket_when_the_offer_gets_through(machine: Machine) -> None:
    machine.configure('<set name="HTTP_SEC_WEBSOCKET_EXTENSIONS" value="" />', "")
    async with machine.session.ws_connect(machine.url("/ws"), compress=15) as socket:
        assert machine.backend.last.headers["sec-websocket-extensions"].startswith("permessage-deflate")
        message = await socket.receive()
        assert message.type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE}
        assert socket.close_code == aiohttp.WSCloseCode.ABNORMAL_CLOSURE


@on_machine
async def test_without_the_offer_a_client_that_wants_no_compression_never_noticed(machine: Machine) -> None:
    machine.configure('<set name="HTTP_SEC_WEBSOCKET_EXTENSIONS" value="" />', "")
    async with machine.session.ws_connect(machine.url("/ws"), compress=0) as socket:
        assert json.loads(await socket.receive_str()) == {"type": "status"}


@pytest.mark.parametrize("missing", ["feature", "setting"])
@on_machine
async def test_without_websocket_support_the_upgrade_never_reaches_the_backend(
    machine: Machine, missing: str
) -> None:
    with machine.store.edit() as state:
        if missing == "feature":
            state.features["Web-WebSockets"] = False
        else:
            state.server_config["system.webServer/webSocket"]["enabled"] = False
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await machine.session.ws_connect(machine.url("/ws"))
    assert refused.value.status == 400
    assert "upgrade" not in machine.backend.last.headers


@on_machine
async def test_a_backend_that_refuses_a_websocket_is_heard(machine: Machine) -> None:
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    response, body = await machine.get("/ws-with-token", headers=upgrade)
    assert (response.status, json.loads(body)) == (401, {"detail": "no token"})


@on_machine
async def test_a_backend_says_goodbye_in_its_own_words(machine: Machine) -> None:
    async with machine.session.ws_connect(machine.url("/ws")) as socket:
        await socket.receive_str()
        await socket.send_str("goodbye")
        message = await socket.receive()
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 4001)


@on_machine
async def test_a_websocket_to_nobody_is_502(machine: Machine) -> None:
    with machine.store.edit() as state:
        state.portproxy[0].connect_port = 1
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await machine.session.ws_connect(machine.url("/ws"))
    assert refused.value.status == 502


@on_machine
async def test_without_preserve_host_header_the_backend_sees_loopback(machine: Machine) -> None:
    _unset(machine, "preserveHostHeader")
    await machine.get("/")
    assert machine.backend.last.host == "127.0.0.1:8188"


@on_machine
async def test_with_arrs_default_the_client_address_carries_its_port(machine: Machine) -> None:
    _unset(machine, "includePortInXForwardedFor")
    await machine.get("/")
    address, _, port = machine.backend.last.headers["x-forwarded-for"].partition(":")
    assert address == "127.0.0.1"
    assert port.isdigit()


@pytest.mark.parametrize("missing", ["setting", "module"])
@on_machine
async def test_without_the_proxy_an_absolute_url_has_no_handler(machine: Machine, missing: str) -> None:
    if missing == "setting":
        _unset(machine, "enabled")
    else:
        path = r"C:\Program Files\IIS\Application Request Routing\requestRouter.dll"
        machine.store.path(path).unlink()
    response, body = await machine.get("/")
    assert response.status == 404
    assert "404.4" in body


@on_machine
async def test_a_setting_that_nobody_modelled_is_named(machine: Machine) -> None:
    _set(machine, stealthMode=True)
    response, body = await machine.get("/")
    assert response.status == 500
    assert "stealthMode" in body


@on_machine
async def test_a_slow_backend_runs_into_the_timeout(machine: Machine) -> None:
    _set(machine, timeout="00:00:00.2")
    response, body = await machine.get("/slow")
    assert response.status == 502
    assert "0x80072ee2" in body


@on_machine
async def test_progress_is_passed_on_at_once(machine: Machine) -> None:
    async with machine.session.get(machine.url("/progress")) as response:
        assert await response.content.readline() == b"step 1\n"
        machine.backend.release.set()
        assert await response.content.readline() == b"step 2\n"


@on_machine
async def test_with_arrs_default_buffer_progress_waits_for_the_end(machine: Machine) -> None:
    _unset(machine, "minResponseBuffer")
    began = asyncio.Event()

    async def ask() -> bytes:
        async with machine.session.get(machine.url("/progress")) as response:
            began.set()
            return await response.read()

    asked = asyncio.ensure_future(ask())
    await machine.backend.arrived.wait()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(began.wait(), 0.2)
    machine.backend.release.set()
    assert await asked == b"step 1\nstep 2\n"


@on_machine
async def test_a_redirect_of_the_backend_is_left_alone_unless_arr_rewrites_it(machine: Machine) -> None:
    response, _ = await machine.get("/moved")
    assert response.headers["Location"] == f"http://{NAME}:{machine.ports.https}/there"
    _unset(machine, "reverseRewriteHostInResponseHeaders", "preserveHostHeader")
    response, _ = await machine.get("/moved")
    assert response.headers["Location"] == f"https://{NAME}:{machine.ports.https}/there"


@on_machine
async def test_the_body_of_an_error_is_the_backends_own(machine: Machine) -> None:
    response, body = await machine.send("POST", "/prompt", json={})
    assert (response.status, json.loads(body)) == (400, {"error": {"type": "value_not_in_list"}})


@on_machine
async def test_without_pass_through_iis_puts_its_own_page_over_an_error(machine: Machine) -> None:
    machine.configure('<httpErrors existingResponse="PassThrough" />', "")
    response, body = await machine.send("POST", "/prompt", json={})
    assert response.status == 400
    assert "value_not_in_list" not in body


@on_machine
async def test_no_header_tells_what_serves(machine: Machine) -> None:
    response, _ = await machine.get("/")
    assert "Server" not in response.headers
    assert "X-Powered-By" not in response.headers
    assert response.headers["X-Kept"] == "yes"


@on_machine
async def test_the_defaults_of_iis_and_arr_tell_it(machine: Machine) -> None:
    _unset(machine, "arrResponseHeader")
    machine.configure('removeServerHeader="true"', "")
    machine.configure('<remove name="X-Powered-By" />', "")
    response, _ = await machine.get("/")
    assert response.headers["Server"] == "Microsoft-IIS/10.0"
    assert sorted(response.headers.getall("X-Powered-By")) == ["ARR/3.0", "ASP.NET"]


@pytest.mark.parametrize("broken", ["no entry", "service stopped", "guest stopped", "nothing there"])
@on_machine
async def test_a_broken_way_into_wsl_is_502(machine: Machine, broken: str) -> None:
    with machine.store.edit() as state:
        if broken == "no entry":
            state.portproxy.clear()
        elif broken == "service stopped":
            state.services["iphlpsvc"] = {"state": "stopped"}
        elif broken == "guest stopped":
            state.wsl_distributions["Ubuntu"] = {"state": "Stopped", "guest": "127.0.0.1", "owner": "me"}
        else:
            state.portproxy[0].connect_port = 1
    response, body = await machine.get("/")
    assert response.status == 502
    assert "502.3" in body
    assert machine.backend.requests == []


@on_machine
async def test_a_client_that_leaves_frees_the_backend(machine: Machine) -> None:
    asked = asyncio.ensure_future(machine.get("/slow"))
    await machine.backend.arrived.wait()
    asked.cancel()
    await machine.backend.abandoned.wait()


def test_an_untouched_arr_has_the_defaults_of_its_schema() -> None:
    assert proxysettings.read(State()) == ProxySettings(
        enabled=False,
        preserve_host_header=False,
        timeout=120.0,
        min_response_buffer=256,
        include_port=True,
        reverse_rewrite_host=True,
        arr_response_header=True,
        forwarded_for="X-Forwarded-For",
    )
    assert proxysettings.cache_enabled(State())


@pytest.mark.parametrize(
    ("text", "seconds"), [("00:02:00", 120.0), ("01:00:00", 3600.0), ("1.02:03:04", 93784.0)]
)
def test_a_time_span_is_read_as_windows_writes_it(text: str, seconds: float) -> None:
    state = State(server_config={"System.WebServer/Proxy": {"timeout": text}})
    assert proxysettings.read(state).timeout == seconds


@pytest.mark.parametrize(
    ("name", "value"), [("timeout", "an hour"), ("enabled", "yes"), ("minResponseBuffer", "-1"), ("color", 1)]
)
def test_a_setting_that_makes_no_sense_is_named(name: str, value: object) -> None:
    with pytest.raises(NotModelledError, match=name):
        proxysettings.read(State(server_config={"system.webServer/proxy": {name: value}}))
