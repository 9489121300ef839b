"""The model of wacs.exe: the documented arguments alone; renewals by its own task; a refusal undoes nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests.lab.windows_host.winsim import acme_client, wacs
from tests.lab.windows_host.winsim.iis import server
from tests.lab.windows_host.winsim.modules import run_module
from tests.lab.windows_host.winsim.scheduler import Scheduler
from tests.lab.windows_host.winsim.state import AppPool, Binding, Site, Store

from .machine import SITE, USER, new_authority

WACS = r"C:\Program Files\simple-acme\wacs.exe"
SERVER = "https://acme.example/directory"
TASK = r"\simple-acme renew (acme.exampledirectory)"
# facts of simple-acme's reference of the command line, in the order in which the role gives them
EXACT = [
    *("--source", "iis", "--siteid", "5", "--host", SITE, "--validation", "selfhosting"),
    *("--store", "certificatestore", "--certificatestore", "WebHosting"),
    *("--installation", "iis", "--installationsiteid", "5", "--accepttos"),
    *("--emailaddress", "operator@comfystack.test", "--baseuri", SERVER),
]
RENEW = ["--renew", "--baseuri", SERVER]


@pytest.fixture
def store(store: Store) -> Store:
    """A machine with simple-acme, and a site that has plain HTTP only."""
    store.path(WACS).parent.mkdir(parents=True)
    store.path(WACS).write_text("stand-in")
    store.path(r"C:\site").mkdir()
    with store.edit() as state:
        state.features = {"Web-Server": True}
        state.app_pools["pool"] = AppPool()
        state.sites[SITE] = Site(5, r"C:\site", "pool", bindings=[Binding("http", 80, SITE)])
    return store


@pytest.fixture
def signed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An authority that signs whatever it is asked for; the names it was asked for."""
    authority = new_authority()
    asked: list[str] = []

    def order(
        _server: str, _roots: str, _key: bytes, _email: str, host: str, _answer: Any
    ) -> tuple[bytes, str]:
        asked.append(host)
        certificate, key = authority.issue(x509.DNSName(host), days=90)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return pem, certificate.public_bytes(serialization.Encoding.PEM).decode() + authority.pem().decode()

    monkeypatch.setattr(acme_client, "order", order)
    monkeypatch.setattr(acme_client, "KEY_BITS", 1024)
    return asked


def call(store: Store, *words: str) -> dict[str, Any]:
    return run_module(store, USER, "ansible.windows.win_command", {"argv": [WACS, *words]})


def bound(store: Store) -> str | None:
    (https,) = [b for b in store.read().sites[SITE].bindings if b.protocol == "https"]
    assert (https.port, https.hostname, https.use_sni) == (443, SITE, True)
    return https.certificate_hash


def age(store: Store, days: int) -> None:
    """The last success of every renewal lies so long back."""
    for file in wacs.folder(store, SERVER).glob("*.renewal.json"):
        document = json.loads(file.read_text())
        document["History"][-1]["Date"] = (datetime.now(UTC) - timedelta(days=days)).isoformat()
        file.write_text(json.dumps(document))


class TestArguments:
    def test_the_documented_ones_obtain_bind_and_register_the_task(
        self, store: Store, signed: list[str]
    ) -> None:
        done = call(store, *EXACT)
        assert done["rc"] == 0, done
        assert signed == [SITE]
        state = store.read()
        assert state.certificates["WebHosting"][str(bound(store))]["key_pem"]
        assert state.certificates["CA"], "the way up to the root is kept, or browsers do not find it"
        task = state.scheduled_tasks[TASK]
        assert task["username"] == "SYSTEM"
        assert task["actions"][0]["arguments"] == f'--renew --baseuri "{SERVER}"'

    @pytest.mark.parametrize(
        "words",
        [
            pytest.param([*EXACT, "--verbose"], id="another"),
            pytest.param(["--hosts" if word == "--host" else word for word in EXACT], id="misspelt"),
            pytest.param(["--Host" if word == "--host" else word for word in EXACT], id="other-case"),
            pytest.param(
                ["filesystem" if word == "selfhosting" else word for word in EXACT], id="other-value"
            ),
            pytest.param([word for word in EXACT if word != "--accepttos"], id="terms-not-accepted"),
            pytest.param(EXACT[:-1], id="no-value"),
            pytest.param(["9" if word == "5" else word for word in EXACT], id="no-such-site"),
            pytest.param(["other.test" if word == SITE else word for word in EXACT], id="no-such-binding"),
            pytest.param([*RENEW, "--host", SITE], id="renew-and-change"),
            pytest.param([*RENEW, *RENEW], id="twice"),
            pytest.param(["renew"], id="no-dashes"),
            pytest.param([], id="interactive"),
        ],
    )
    def test_anything_else_is_an_error_and_changes_nothing(
        self, store: Store, signed: list[str], words: list[str]
    ) -> None:
        before = store.read()
        done = call(store, *words)
        assert done["failed"]
        assert done["rc"] == wacs.FAILED
        assert done["stdout"]
        assert store.read() == before
        assert signed == []

    def test_a_program_that_is_not_there_is_not_run(self, store: Store) -> None:
        store.path(WACS).unlink()
        assert "Could not locate" in call(store, *EXACT)["msg"]


class TestRenewal:
    def run_task(self, store: Store) -> int:
        """A day passes: its own task, as Task Scheduler runs it."""
        now = [datetime.now(UTC).timestamp()]
        scheduler = Scheduler(store, now=lambda: now[0])
        scheduler.begin()
        now[0] += 86_401
        scheduler.tick()
        return scheduler.results[TASK]

    def test_its_own_task_renews_what_is_due_and_swaps_the_certificate(
        self, store: Store, signed: list[str]
    ) -> None:
        call(store, *EXACT)
        before = bound(store)
        age(store, 56)
        assert self.run_task(store) == 0
        assert bound(store) != before
        assert list(store.read().certificates["WebHosting"]) == [bound(store)], (
            "the one before leaves the store"
        )

    def test_what_is_not_due_is_left_alone(self, store: Store, signed: list[str]) -> None:
        call(store, *EXACT)
        before = bound(store)
        age(store, 54)
        assert self.run_task(store) == 0
        assert bound(store) == before
        assert signed == [SITE]

    def test_force_renews_at_once(self, store: Store, signed: list[str]) -> None:
        call(store, *EXACT)
        before = bound(store)
        assert call(store, *RENEW, "--force")["rc"] == 0
        assert bound(store) != before

    def test_the_same_arguments_again_put_a_lost_binding_right_with_one_renewal(
        self, store: Store, signed: list[str]
    ) -> None:
        call(store, *EXACT)
        with store.edit() as state:
            state.sites[SITE].bindings = [Binding("http", 80, SITE)]
        assert call(store, *EXACT)["rc"] == 0
        assert bound(store)
        assert len(wacs.renewals(store, SERVER)) == 1

    def test_a_refusal_leaves_what_was_bound_and_is_told(
        self, store: Store, signed: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        call(store, *EXACT)
        before = store.read()

        def refuse(*_: Any) -> tuple[bytes, str]:
            raise acme_client.Refused("urn:ietf:params:acme:error:rateLimited: too many certificates")

        monkeypatch.setattr(acme_client, "order", refuse)
        for words in ([*RENEW, "--force"], EXACT):
            done = call(store, *words)
            assert done["rc"] == wacs.FAILED
            assert "too many certificates" in done["stdout"]
            assert store.read() == before
            assert store.url_listeners == {}


def test_a_challenge_is_answered_before_any_site_of_iis(store: Store) -> None:
    """http.sys: a strong wildcard goes before host names, so that no redirect and no rule stands in the way."""
    tokens = {"/.well-known/acme-challenge/abc": "abc.key"}

    async def ask(path: str) -> tuple[int, str]:
        async with (
            server.listening(store, 0, 0, "127.0.0.1") as ports,
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{ports.http}{path}", headers={"Host": SITE}) as answer,
        ):
            return answer.status, await answer.text()

    def get(path: str) -> tuple[int, str]:
        return asyncio.run(ask(path))

    listening: Callable[[str], str | None] = tokens.get
    store.url_listeners[wacs.CHALLENGES] = listening
    assert get("/.well-known/acme-challenge/abc") == (200, "abc.key")
    assert get("/.well-known/acme-challenge/none") == (404, "")
    assert get("/elsewhere")[0] == 404, "IIS: the folder of the site is empty"
    del store.url_listeners[wacs.CHALLENGES]
    assert get("/.well-known/acme-challenge/abc")[0] == 404
