"""ARR's cache: off in a deployment, because it forgets what was asked for and who may see it."""

from __future__ import annotations

import pytest

from tests.unit.iis.machine import Machine, on_machine


def _with_arrs_default(machine: Machine) -> None:
    with machine.store.edit() as state:
        del state.server_config["system.webServer/proxy/cache"]


@on_machine
async def test_each_picture_is_the_one_that_was_asked_for(machine: Machine) -> None:
    for name in ("a", "b", "a"):
        _, body = await machine.get(f"/picture?filename={name}")
        assert body == name
    assert len(machine.backend.requests) == 3


@on_machine
async def test_with_arrs_default_one_picture_answers_for_another(machine: Machine) -> None:
    _with_arrs_default(machine)
    first, _ = await machine.get("/picture?filename=a", headers={"X-API-Key": "secret"})
    # Nobody asks the edge for its opinion of a client without a token, either.
    second, body = await machine.get("/picture?filename=b")
    assert (second.status, body) == (200, "a")
    assert second.headers == {**first.headers, "Content-Length": "1", "Date": second.headers["Date"]}
    assert len(machine.backend.requests) == 1


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("&control=no-store", {}),
        ("&control=private,max-age=60", {}),
        ("&control=public,max-age=0", {}),
        ("&control=", {}),
        ("&cookie", {}),
        ("", {"Range": "bytes=0-"}),
        ("&control=max-age=60", {"Authorization": "Bearer secret"}),
    ],
)
@on_machine
async def test_even_then_it_keeps_only_what_it_may(
    machine: Machine, query: str, headers: dict[str, str]
) -> None:
    _with_arrs_default(machine)
    for name in ("a", "b"):
        _, body = await machine.get(f"/picture?filename={name}{query}", headers=headers)
        assert body == name


@on_machine
async def test_an_upload_is_never_answered_from_the_cache(machine: Machine) -> None:
    _with_arrs_default(machine)
    await machine.get("/picture?filename=a")
    _, body = await machine.send("POST", "/picture?filename=b", data=b"pixels")
    assert body == "pixels"
    assert machine.backend.last.method == "POST"
