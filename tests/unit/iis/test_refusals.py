"""What IIS refuses by itself, with the status and sub-status that an operator will look up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.unit.iis.machine import ROOT, Machine, on_machine


def _chunks(size: int) -> aiohttp.AsyncIterablePayload:
    async def produce() -> AsyncIterator[bytes]:
        for _ in range(size // 10_000):
            yield b"x" * 10_000

    return aiohttp.AsyncIterablePayload(produce())


@on_machine
async def test_a_body_over_the_limit_is_404_13_and_never_sent_on(machine: Machine) -> None:
    response, body = await machine.send("POST", "/upload/image", data=b"x" * 1_000_001)
    assert response.status == 404
    assert "404.13" in body
    assert machine.backend.requests == []
    response, body = await machine.send("POST", "/upload/image", data=b"x" * 1_000_000)
    assert (response.status, len(body)) == (200, 1_000_000)


@on_machine
async def test_a_chunked_body_over_the_limit_is_stopped_on_the_way(machine: Machine) -> None:
    response, body = await machine.send("POST", "/upload/image", data=_chunks(1_010_000))
    assert response.status == 404
    assert "404.13" in body
    response, body = await machine.send("POST", "/upload/image", data=_chunks(500_000))
    assert (response.status, len(body)) == (200, 500_000)


@on_machine
async def test_without_our_limits_iis_keeps_its_own(machine: Machine) -> None:
    start = (
        '<requestLimits maxAllowedContentLength="1000000"\n                       maxQueryString="8192" />'
    )
    machine.configure(start, "<requestLimits />")
    response, body = await machine.get(f"/view?filename={'x' * 2048}")
    assert response.status == 404
    assert "404.15" in body
    response, _ = await machine.send("POST", "/upload/image", data=b"x" * 1_000_001)
    assert response.status == 200


@on_machine
async def test_the_longest_query_string_that_is_allowed_arrives(machine: Machine) -> None:
    response, _ = await machine.get(f"/view?{'x' * 8192}")
    assert response.status == 200
    response, body = await machine.get(f"/view?{'x' * 8193}")
    assert response.status == 404
    assert "404.15" in body


@on_machine
async def test_no_limit_of_a_site_makes_the_kernel_take_more(machine: Machine) -> None:
    machine.configure('maxQueryString="8192"', 'maxQueryString="16384"')
    response, body = await machine.get(f"/view?{'x' * 16_384}")
    assert response.status == 400
    assert "Request Too Long" in body


@pytest.mark.parametrize(
    ("find", "replace", "path", "told"),
    [
        ('maxQueryString="8192"', 'maxQueryString="100"', "/view?filename=" + "x" * 100, "404.15"),
        ('maxQueryString="8192"', 'maxQueryString="100" maxUrl="50"', "/" + "a/" * 50, "404.14"),
        ('allowDoubleEscaping="true"', "", "/userdata/a+b.png", "404.11"),
        ('allowDoubleEscaping="true"', "", "/userdata/100%2525.png", "404.11"),
        ("<clear />\n          <add segment", "<add segment", "/userdata/x", "500.19"),
        ('<clear />\n          <add segment="web.config" />', "", "/userdata/bin/x", "404.8"),
        ('"true">\n          <clear />', '"true">', "/userdata/notes.config", "404.7"),
    ],
)
@on_machine
async def test_each_filter_bites_where_the_template_lifts_it(
    machine: Machine, find: str, replace: str, path: str, told: str
) -> None:
    response, _ = await machine.get(path)
    assert response.status == 200, "the deployed configuration lets it through"
    machine.configure(find, replace)
    response, body = await machine.get(path)
    assert told in body


@on_machine
async def test_the_configuration_itself_is_hidden(machine: Machine) -> None:
    response, body = await machine.get("/Web.Config")
    assert response.status == 404
    assert "404.8" in body


@pytest.mark.parametrize(
    ("find", "replace", "told"),
    [
        ("<httpProtocol>", '<proxy enabled="true" /><httpProtocol>', "'system.webServer/proxy' is locked"),
        ("<httpProtocol>", "<webSocket /><httpProtocol>", "'system.webServer/webSocket' is locked"),
        (
            "<rewriteMaps>",
            "<allowedServerVariables /><rewriteMaps>",
            "'system.webServer/rewrite/allowedServerVariables' is locked",
        ),
        (
            "<rewriteMaps>",
            "<globalRules /><rewriteMaps>",
            "'system.webServer/rewrite/globalRules' can only be set in applicationHost.config",
        ),
        ("<httpProtocol>", "<hsts /><httpProtocol>", "Unrecognized element 'hsts'"),
        ("<httpProtocol>", "<httpProtocol><keepAlive/>", "Unrecognized element 'keepAlive'"),
        ("<httpProtocol>", '<httpProtocol allow="true">', "Unrecognized attribute 'allow'"),
        ('type="None"', 'type="Nothing"', "'Nothing'"),
        ('doStaticCompression="false"', 'doStaticCompression="no"', "'no'"),
        ('maxQueryString="8192"', 'maxQueryString="-1"', "'-1'"),
        ('<remove fileExtension="." />', '<mimeMap fileExtension="." mimeType="a/b" />', "duplicate"),
        ('<remove name="X-Powered-By" />', '<add name="x-powered-by" value="x" />', "duplicate"),
        ("</configuration>", "", "not well-formed"),
        ("<system.webServer>", "<system.webServer>loose text", "loose text"),
        ("<httpProtocol>", "<httpRedirect /><httpProtocol>", "does not model"),
        ('PassThrough" />', 'PassThrough" defaultPath="/x" />', "'defaultPath'"),
        ('<?xml version="1.0" encoding="UTF-8"?>', "<!DOCTYPE configuration>", "DTD"),
    ],
)
@on_machine
async def test_a_file_that_iis_would_not_read_is_500_19_and_says_where(
    machine: Machine, find: str, replace: str, told: str
) -> None:
    machine.configure(find, replace)
    response, body = await machine.get("/")
    assert response.status == 500
    assert "500.19" in body
    assert told in body.replace("&#x27;", "'")
    assert r"web.config, line" in body
    assert machine.backend.requests == []


@on_machine
async def test_without_url_rewrite_the_rules_are_unknown(machine: Machine) -> None:
    machine.store.path(r"C:\Windows\System32\inetsrv\rewrite.dll").unlink()
    response, body = await machine.get("/")
    assert response.status == 500
    assert "rewrite" in body


@on_machine
async def test_a_site_without_its_folder_is_500_19(machine: Machine) -> None:
    machine.store.path(ROOT + r"\web.config").unlink()
    machine.store.path(ROOT).rmdir()
    response, body = await machine.get("/")
    assert response.status == 500
    assert "0x80070003" in body


@pytest.mark.parametrize(
    ("target", "told"),
    [("/" + "x" * 261, "Invalid URL"), ("/%zz", "Invalid URL"), ("/?" + "x" * 17_000, "Too Long")],
)
@on_machine
async def test_the_kernel_answers_what_no_site_should_see(machine: Machine, target: str, told: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", machine.ports.http)
    writer.write(f"GET {target} HTTP/1.1\r\nHost: qwen-image-edit.comfystack.test\r\n\r\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    assert answer.startswith("HTTP/1.1 400 ")
    assert "Server: Microsoft-HTTPAPI/2.0" in answer
    assert told in answer


@on_machine
async def test_a_malformed_host_name_is_refused_by_the_kernel(machine: Machine) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", machine.ports.http)
    writer.write(b"GET / HTTP/1.1\r\nHost: qwen_edit/../x\r\n\r\n")
    answer = (await reader.read()).decode()
    writer.close()
    assert "Invalid Hostname" in answer


@on_machine
async def test_a_refused_upload_is_not_asked_for(machine: Machine) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", machine.ports.http)
    machine.configure('pattern="^off$"', 'pattern="^never$"')
    head = "POST /upload/image HTTP/1.1\r\nHost: qwen-image-edit.comfystack.test\r\nExpect: 100-continue\r\n"
    writer.write(f"{head}Content-Length: 2000000\r\n\r\n".encode())
    assert (await reader.readline()).startswith(b"HTTP/1.1 404 ")
    writer.close()
    reader, writer = await asyncio.open_connection("127.0.0.1", machine.ports.http)
    writer.write(f"{head}Content-Length: 4\r\n\r\n".encode())
    assert await reader.readline() == b"HTTP/1.1 100 Continue\r\n"
    writer.write(b"data")
    assert await reader.readline() == b"\r\n"
    assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
    writer.close()
