"""Names, ports, certificates: who is served, and what the others see."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

import aiohttp
import pytest

from tests.lab.windows_host.winsim.state import Binding, Site
from tests.unit.iis.machine import NAME, Machine, certificate, install, on_machine

OTHER = "other.comfystack.test"


def _trusting(name: str) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=certificate(name)[1])


@on_machine
async def test_a_name_without_a_binding_is_404_from_the_kernel(machine: Machine) -> None:
    response, body = await machine.get("/", scheme="http", name=OTHER)
    assert response.status == 404
    assert response.headers["Server"] == "Microsoft-HTTPAPI/2.0"
    assert "HTTP Error 404" in body


@on_machine
async def test_a_name_without_a_tls_binding_gets_no_handshake(machine: Machine) -> None:
    with pytest.raises(aiohttp.ClientConnectionError):
        await machine.get("/", name=OTHER, ssl=_trusting(OTHER))


@on_machine
async def test_each_name_gets_its_own_certificate_as_soon_as_it_is_bound(machine: Machine) -> None:
    with machine.store.edit() as state:
        thumbprint = install(state, OTHER)
        state.sites["other"] = Site(
            8,
            state.sites["qwen"].physical_path,
            "qwen",
            bindings=[Binding("https", 443, OTHER, use_sni=True, certificate_hash=thumbprint.lower())],
        )
    response, _ = await machine.get("/", name=OTHER, ssl=_trusting(OTHER))
    assert response.status == 200
    response, _ = await machine.get("/")
    assert response.status == 200


@on_machine
async def test_a_wrong_certificate_is_noticed_by_the_client(machine: Machine) -> None:
    with machine.store.edit() as state:
        state.sites["qwen"].bindings[1].certificate_hash = install(state, OTHER)
    with pytest.raises(aiohttp.ClientConnectorCertificateError):
        await machine.get("/")
    with pytest.raises(aiohttp.ClientConnectorCertificateError, match="Hostname mismatch"):
        await machine.get("/", ssl=_trusting(OTHER))


@pytest.mark.parametrize("broken", ["no hash", "not in the store", "no private key", "another store"])
@on_machine
async def test_a_binding_without_a_usable_certificate_gets_no_handshake(
    machine: Machine, broken: str
) -> None:
    with machine.store.edit() as state:
        binding = state.sites["qwen"].bindings[1]
        if broken == "no hash":
            binding.certificate_hash = None
        elif broken == "not in the store":
            state.certificates["My"].clear()
        elif broken == "no private key":
            state.certificates["My"][binding.certificate_hash or ""]["key_pem"] = None
        else:
            binding.certificate_store_name = "WebHosting"
    with pytest.raises(aiohttp.ClientConnectionError):
        await machine.get("/")


@on_machine
async def test_a_renewed_certificate_leaves_an_open_socket_alone(machine: Machine) -> None:
    async with machine.session.ws_connect(machine.url("/ws")) as socket:
        await socket.receive_str()
        with machine.store.edit() as state:
            state.certificates["My"].clear()
        await socket.send_str("still here")
        assert await socket.receive_str() == "echo still here"


@on_machine
async def test_a_binding_without_sni_answers_for_every_name(machine: Machine) -> None:
    with machine.store.edit() as state:
        state.sites["qwen"].bindings[1].use_sni = False
        state.sites["qwen"].bindings[1].hostname = ""
    context = _trusting(NAME)
    context.check_hostname = False
    response, _ = await machine.get("/", name=OTHER, ssl=context)
    assert response.status == 200


@on_machine
async def test_a_stopped_pool_is_503(machine: Machine) -> None:
    with machine.store.edit() as state:
        state.app_pools["qwen"].state = "stopped"
    response, _ = await machine.get("/")
    assert response.status == 503


@on_machine
async def test_a_site_whose_pool_does_not_exist_is_503(machine: Machine) -> None:
    with machine.store.edit() as state:
        state.app_pools.clear()
    response, _ = await machine.get("/")
    assert response.status == 503


@on_machine
async def test_a_stopped_site_is_unknown_to_the_kernel(machine: Machine) -> None:
    with machine.store.edit() as state:
        state.sites["foreign"] = Site(9, r"C:\inetpub\wwwroot", "qwen", bindings=[Binding("http", 80, OTHER)])
        state.sites["qwen"].state = "stopped"
    response, _ = await machine.get("/", scheme="http")
    assert response.status == 404


@pytest.mark.parametrize("gone", ["feature", "site"])
@on_machine
async def test_a_port_that_nobody_uses_is_closed(machine: Machine, gone: str) -> None:
    with machine.store.edit() as state:
        if gone == "feature":
            state.features.clear()
        else:
            state.sites["qwen"].state = "stopped"
    reader, writer = await asyncio.open_connection("127.0.0.1", machine.ports.http)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()
    with pytest.raises(aiohttp.ClientConnectionError):
        await machine.get("/")


@on_machine
async def test_the_log_holds_the_query_string_unless_its_fields_leave_it_out(machine: Machine) -> None:
    await machine.get("/view?token=secret", headers={"User-Agent": "a client"})
    fields, line = machine.log_lines()[-2:]
    assert fields.startswith("#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port")
    logged = dict(zip(fields.split()[1:], line.split(), strict=True))
    assert logged["cs-uri-query"] == "token=secret"
    assert logged["cs(User-Agent)"] == "a+client"
    assert (logged["sc-status"], logged["sc-substatus"], logged["s-port"]) == ("200", "0", "443")

    with machine.store.edit() as state:
        state.sites["qwen"].attributes["logFile.logExtFileFlags"] = "Date, Time, UriStem, HttpStatus"
    await machine.get("/view?token=again")
    line = machine.log_lines()[-1]
    assert line.split()[2:] == ["/view", "200"]


@on_machine
async def test_the_log_names_the_sub_status_of_a_refusal(machine: Machine) -> None:
    await machine.send("POST", "/", data=b"x" * 1_000_001)
    fields = machine.log_lines()[-2].split()[1:]
    logged = dict(zip(fields, machine.log_lines()[-1].split(), strict=True))
    assert (logged["sc-status"], logged["sc-substatus"]) == ("404", "13")


@on_machine
async def test_hsts_is_a_matter_of_the_site_in_application_host(machine: Machine) -> None:
    with machine.store.edit() as state:
        state.sites["qwen"].attributes |= {"hsts.enabled": True, "hsts.max-age": 31536000}
    response, _ = await machine.get("/")
    assert response.headers["Strict-Transport-Security"] == "max-age=31536000"
    response, _ = await machine.get("/", scheme="http")
    assert "Strict-Transport-Security" not in response.headers
