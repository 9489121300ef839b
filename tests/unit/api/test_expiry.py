"""A token that has an end: until then it opens, from then on neither it nor its sessions do, by no way in."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

import pytest
from comfystack_api.gate import Decision, Gate, Question
from comfystack_api.guesses import Guesses
from comfystack_api.sessions import COOKIE, Sessions
from comfystack_api.state import State
from comfystack_api.tokens import TokenError, Tokens, digest_of

from tests.contract.server import free_port

from .conftest import TOKENS, Service, inventory, running

ANN, GONE = TOKENS["ann"], TOKENS["gone"]
MADE = "m" * 40
END = datetime(2027, 2, 1, tzinfo=UTC).timestamp()
WAYS = ("bearer", "api-key", "query", "session", "form")


@dataclass
class Site:
    """A gate whose clock stands still until a test sets it."""

    folder: Path
    now: float = END - 1

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        """Also again, as after a restart."""
        state = State(self.folder / "state")
        self.tokens = Tokens(self.folder / "tokens.json", state, lambda: self.now)
        self.gate = Gate(self.tokens, Sessions(state, self.tokens, 100), Guesses(5))

    def write(self, *entries: dict[str, str]) -> None:
        known = [{"name": "ann", "scope": "user", "sha256": digest_of(ANN), **entry} for entry in entries]
        (self.folder / "tokens.json").write_text(json.dumps(known))

    def asked(self, way: str, secret: str, session: str = "") -> Decision:
        """The decision about a request that brings a token, or its session, in one of WAYS."""
        headers = {
            "bearer": {"authorization": f"Bearer {secret}"},
            "api-key": {"x-api-key": secret},
            "session": {"cookie": f"{COOKIE}={session}"},
        }.get(way, {})
        uri = f"/ws?token={secret}" if way == "query" else "/ws"
        question = Question("GET", uri, {"host": "images.example.org", **headers}, "10.0.0.1")
        return self.gate.sign_in(question, secret) if way == "form" else self.gate.comfyui(question)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "tokens.json").write_text("[]")
    return Site(tmp_path)


@pytest.fixture(params=["inventory", "service"])
def source(request: pytest.FixtureRequest, site: Site) -> str:
    """Where the token ANN, which counts until 2027-01-31 is over, comes from."""
    if request.param == "inventory":
        site.write({"expires": "2027-01-31"})
    else:
        site.tokens.add("ann", "user", digest_of(ANN), "2027-01-31")
    return str(request.param)


@pytest.mark.parametrize("way", WAYS)
def test_it_opens_until_its_end_and_not_from_then_on(
    site: Site, source: str, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "audit")
    session = site.gate.sessions.begin(site.tokens.all()[0])
    assert site.asked(way, ANN, session).ok
    site.now = END
    decision = site.asked(way, ANN, session)
    assert (decision.status, decision.reason, decision.ok) == (401, "expired-token", False)
    site.open()
    assert site.asked(way, ANN, session).reason == "expired-token"
    line = json.loads(caplog.records[-1].message)
    assert (line["decision"], line["reason"], line["token"]) == ("deny", "expired-token", "ann")
    assert ANN not in caplog.text


def test_nobody_else_is_told_that_it_has_expired(site: Site, source: str) -> None:
    site.now = END
    for other in (ANN[:-1], ANN + "x", ANN.upper(), digest_of(ANN)):
        assert site.asked("bearer", other).reason == "unknown-token"
    site.tokens.revoke("ann")
    assert site.asked("bearer", ANN).reason == "unknown-token"


def test_it_counts_as_a_wrong_one_where_somebody_guesses(site: Site, source: str) -> None:
    assert site.asked("bearer", ANN).ok
    site.now = END
    assert site.asked("bearer", ANN).reason == "expired-token"
    # One less than the gate lets an address try.
    for number in range(4):
        site.asked("bearer", f"{number}" * 40)
    assert site.asked("bearer", MADE).reason == "throttled"


class TestTheInventory:
    def test_another_end_counts_at_the_next_question(self, site: Site) -> None:
        site.now = END
        for entry, ok in (
            ({"expires": "2027-01-31"}, False),
            ({"expires": "2027-02-28T00:00:00+01:00"}, True),
            ({"expires": "2027-01-31T23:59:59Z"}, False),
            ({}, True),
        ):
            site.write(entry)
            assert site.asked("bearer", ANN).ok is ok, entry

    @pytest.mark.parametrize("end", ["", "soon", "2027-02-30", "2027-01-31T18:00:00"])
    def test_an_end_that_cannot_be_read_lets_nobody_in(self, site: Site, end: str) -> None:
        site.write({}, {"name": "ben", "sha256": digest_of(TOKENS["ben"]), "expires": end})
        assert site.asked("bearer", ANN).reason == "unknown-token"
        assert site.asked("bearer", TOKENS["ben"]).reason == "unknown-token"


class TestOneThatIsMade:
    @pytest.mark.parametrize("end", ["", "soon", "2027-02-30", "2027-01-30", "2027-01-31T23:59:59Z"])
    def test_with_an_end_that_is_none_or_past_it_is_not(self, site: Site, end: str) -> None:
        with pytest.raises(TokenError, match=r"expires: found .*; expected ") as refused:
            site.tokens.add("new", "user", digest_of(MADE), end)
        assert refused.value.status == 400
        assert site.tokens.all() == ()

    def test_it_keeps_its_name_until_it_is_revoked(self, site: Site) -> None:
        site.tokens.add("course", "user", digest_of(ANN), "2027-01-31")
        site.now = END
        with pytest.raises(TokenError, match="already"):
            site.tokens.add("course", "user", digest_of(MADE))
        site.tokens.revoke("course")
        site.tokens.add("course", "user", digest_of(MADE))
        site.now = END * 2
        assert site.asked("bearer", MADE).ok

    def test_an_end_that_was_left_behind_is_not_the_next_ones(self, site: Site) -> None:
        """As after a crash between the two: an end without its token."""
        state = State(site.folder / "state")
        state.run("INSERT INTO ends VALUES (?, ?)", (digest_of(MADE), 1.0))
        site.tokens.add("course", "user", digest_of(MADE))
        assert site.asked("bearer", MADE).ok


# The table of the version before tokens could end.
BEFORE = (
    "CREATE TABLE tokens "
    "(name TEXT PRIMARY KEY, scope TEXT NOT NULL, digest TEXT NOT NULL UNIQUE, created REAL NOT NULL)"
)
OF_BEFORE = "INSERT INTO tokens VALUES (?, ?, ?, ?)"


def test_a_state_of_before_is_read_as_it_is_and_can_be_read_by_the_version_before(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "tokens.json").write_text(inventory("operator"))
    with sqlite3.connect(tmp_path / "state" / "state.db") as before:
        before.execute(BEFORE)
        before.execute(OF_BEFORE, ("ann", "user", digest_of(ANN), 1.0))
    before.close()
    site = Site(tmp_path, END * 2)
    assert site.asked("bearer", ANN).ok
    assert site.asked("bearer", TOKENS["operator"]).ok
    site.tokens.add("made", "user", digest_of(MADE), "2999-12-31")
    with sqlite3.connect(tmp_path / "state" / "state.db") as back:
        back.execute(OF_BEFORE, ("ben", "user", digest_of(TOKENS["ben"]), 2.0))
    back.close()
    site.open()
    assert [site.asked("bearer", one).ok for one in (ANN, MADE, TOKENS["ben"])] == [True] * 3


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """It knows `gone`, an admin's token that ended in 2020."""
    folder = tmp_path_factory.mktemp("service")
    (folder / "tokens.json").write_text(inventory("operator", "ann", "gone"))
    limits = {"guesses_per_minute": 1000}
    with running(folder, f"http://127.0.0.1:{free_port()}", **limits) as started:
        yield started


# Each route of the service's own that asks who comes, and what becomes of one that does not.
OWN = [
    ("GET", "/v1/models"),
    ("GET", "/v1/docs"),
    ("GET", "/v1/images/files/x"),
    ("POST", "/v1/images/generations"),
    ("POST", "/v1/images/edits"),
    ("GET", "/v1/tokens"),
    ("POST", "/v1/tokens"),
    ("DELETE", "/v1/tokens/ann"),
    ("POST", "/_jobs/prompt"),
    ("POST", "/_jobs/queue"),
    ("POST", "/_jobs/interrupt"),
    ("POST", "/_jobs/free"),
    ("POST", "/_uploads/upload/image"),
    ("GET", "/_views/view"),
]
KINDS = {"nobody": ("", "no-token"), "wrong": ("0" * 64, "unknown-token"), "expired": (GONE, "expired-token")}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("method", "path"), OWN)
def test_each_route_refuses_it_with_a_message_of_its_own(
    service: Service, method: str, path: str, kind: str
) -> None:
    token, reason = KINDS[kind]
    ways = [
        ({"Authorization": f"Bearer {token}"}, path),
        ({"X_API_Key": token}, path),
        ({}, f"{path}?token={token}"),
    ]
    for headers, address in ways:
        answer = service.ask(method, address, None, None, **headers)
        error = answer.json()["error"]
        assert (answer.status, error["type"], error["code"]) == (401, "authentication", reason)
        assert ("expired" in error["message"]) is (kind == "expired")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "path", ["/", "/ws", "/queue", "/view?filename=a", "/x.js", "/api/system_stats", "/internal/logs"]
)
def test_the_edge_is_told_and_tells_the_visitor(service: Service, path: str) -> None:
    asked = service.edge("GET", path, "gone")
    assert (asked.status, asked.headers["X-Refusal"]) == (401, "expired-token 0")
    program = service.ask("GET", "/refused", X_Refusal="expired-token 0")
    assert (program.status, program.json()["error"]["code"]) == (401, "expired-token")
    browser = service.ask(
        "GET", "/refused", Accept="text/html", X_Refusal="expired-token 0",
        X_Original_Method="GET", X_Original_URI=path,
    )  # fmt: skip
    assert browser.status == 303


def test_the_sign_in_page_tells_whoever_has_it(service: Service, tmp_path: Path) -> None:
    form = {"token": GONE, "next": "/"}
    answer = service.ask(
        "POST", "/login", None, urlencode(form).encode(), Content_Type="application/x-www-form-urlencoded"
    )
    assert (answer.status, "has expired" in answer.text) == (401, True)
    assert "Set-Cookie" not in answer.headers
    state = State(service.settings.state_dir)
    tokens = Tokens(service.settings.tokens_file, state)
    gone = next(token for token in tokens.all() if token.name == "gone")
    cookie = f"{COOKIE}={Sessions(state, tokens, 100).begin(gone)}"
    state.close()
    page = service.ask("GET", "/login", Cookie=cookie)
    assert ("has expired" in page.text, "Signed in" in page.text) == (True, False)
    assert "has expired" not in service.ask("GET", "/login").text


def test_the_list_shows_it_as_what_it_is(service: Service) -> None:
    rows = {one["name"]: one for one in service.ask("GET", "/v1/tokens", "operator").json()["tokens"]}
    assert (rows["gone"]["expires"], rows["gone"]["expired"]) == ("2020-02-01T00:00:00+00:00", True)
    assert (rows["ann"]["expires"], rows["ann"]["expired"]) == (None, False)


@pytest.mark.parametrize("end", ["", "x", "2020-01-31", 5, [], "2" * 100, "2027-01-31T18:00:00"])
def test_a_wrong_end_is_told_over_the_port(service: Service, end: object) -> None:
    new = {"name": "new", "sha256": digest_of(MADE), "expires": end}
    answer = service.post("/v1/tokens", new, "operator")
    assert (answer.status, "expires" in answer.json()["error"]["message"]) == (400, True)
