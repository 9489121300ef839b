"""Who is let in: by which credential, from where, and what is written down about it."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from comfystack_api.gate import Gate, Question, from_elsewhere, without_token
from comfystack_api.guesses import WINDOW_SECONDS, Guesses
from comfystack_api.sessions import COOKIE, Sessions
from comfystack_api.state import State
from comfystack_api.tokens import Tokens, digest_of
from hypothesis import given
from hypothesis import strategies as st

from .conftest import TOKENS, inventory

ANN = TOKENS["ann"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tokens.json"
    path.write_text(inventory("ann", "operator"))
    return path


@pytest.fixture
def gate(tmp_path: Path, file: Path) -> Gate:
    state = State(tmp_path / "state")
    tokens = Tokens(file, state)
    return Gate(tokens, Sessions(state, tokens, 100), Guesses(3))


def question(
    uri: str = "/system_stats", method: str = "GET", address: str = "10.0.0.1", **headers: str
) -> Question:
    given_ = {name.replace("_", "-"): value for name, value in headers.items()}
    return Question(method, uri, {"host": "images.example.org", **given_}, address)


class TestCredentials:
    @pytest.mark.parametrize("header", [{"authorization": f"Bearer {ANN}"}, {"x_api_key": ANN}])
    def test_both_headers_open(self, gate: Gate, header: dict[str, str]) -> None:
        assert gate.comfyui(question(**header)).ok

    def test_a_token_in_the_address_opens_encoded_or_not(self, gate: Gate) -> None:
        assert gate.comfyui(question(f"/view?filename=a&token={ANN}")).via == "query"
        encoded = "".join(f"%{ord(c):02x}" for c in ANN)
        assert gate.comfyui(question(f"/view?%74oken={encoded}")).ok

    def test_a_token_of_comfyui_login_can_be_taken_over(self, gate: Gate) -> None:
        old = "$2b$12$abcdefghijklmnopqrstuv/ABCDEFGHIJKLMNOPQRSTUVWXYZ.0123"
        gate.tokens.add("notebook", "user", digest_of(old))
        assert gate.comfyui(question(f"/prompt?token={old}")).ok
        assert gate.comfyui(question("/prompt", authorization=f"Bearer {old}")).ok

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"authorization": ""},
            {"authorization": "Bearer"},
            {"authorization": "Bearer "},
            {"authorization": "Basic dXNlcjpwYXNz"},
            {"x_api_key": ""},
            {"cookie": f"{COOKIE}="},
            {"cookie": "other=1"},
        ],
    )
    def test_without_one_nobody_comes_in(self, gate: Gate, headers: dict[str, str]) -> None:
        assert gate.comfyui(question(**headers)).status == 401

    def test_the_first_one_counts_and_a_wrong_one_is_not_made_up_for_by_the_next(self, gate: Gate) -> None:
        wrong = "0" * 64
        assert gate.comfyui(question(authorization=f"Bearer {wrong}", x_api_key=ANN)).status == 401
        assert gate.comfyui(question(f"/?token={wrong}", x_api_key=ANN)).ok

    @pytest.mark.parametrize("token", ["", "-", "0" * 64, ANN[:-1], ANN + "x", ANN.upper(), "x" * 5000])
    def test_a_wrong_token_does_not(self, gate: Gate, token: str) -> None:
        assert gate.comfyui(question(x_api_key=token)).status == 401


class TestTokens:
    def test_a_changed_list_counts_at_the_next_question(self, gate: Gate, file: Path) -> None:
        assert gate.comfyui(question(x_api_key=ANN)).ok
        file.write_text(inventory("operator"))
        assert gate.comfyui(question(x_api_key=ANN)).reason == "unknown-token"
        assert gate.comfyui(question(x_api_key=TOKENS["operator"])).ok

    @pytest.mark.parametrize(
        "text", ["", "{", "[1]", '[{"name": "a"}]', '[{"name":"a","scope":"root","sha256":"x"}]']
    )
    def test_a_list_that_cannot_be_read_lets_nobody_in(self, gate: Gate, file: Path, text: str) -> None:
        file.write_text(text)
        assert not gate.comfyui(question(x_api_key=ANN)).ok

    def test_a_list_that_is_gone_lets_nobody_in(self, gate: Gate, file: Path) -> None:
        file.unlink()
        assert not gate.comfyui(question(x_api_key=ANN)).ok
        file.write_text(inventory("ann"))
        assert gate.comfyui(question(x_api_key=ANN)).ok

    def test_a_revoked_one_of_the_inventory_stays_revoked(self, gate: Gate, file: Path) -> None:
        gate.tokens.revoke("ann")
        file.write_text(inventory("ann", "ben"))
        assert not gate.comfyui(question(x_api_key=ANN)).ok
        assert gate.comfyui(question(x_api_key=TOKENS["ben"])).ok

    def test_nothing_that_opens_is_stored(self, gate: Gate, tmp_path: Path) -> None:
        token = gate.tokens.all()[0]
        secret = gate.sessions.begin(token)
        gate.tokens.add("new", "user", digest_of("n" * 40))
        kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
        for opener in (ANN, secret, "n" * 40):
            assert opener.encode() not in kept
        assert digest_of(secret).encode() in kept


class TestSessions:
    def test_a_session_opens_and_ends_with_its_token(self, gate: Gate) -> None:
        secret = gate.sessions.begin(gate.tokens.all()[0])
        cookie = f"a=b; {COOKIE}={secret}"
        assert gate.comfyui(question(cookie=cookie)).via == "session"
        gate.tokens.revoke("ann")
        assert gate.comfyui(question(cookie=cookie)).status == 401

    def test_it_ends_when_its_time_is_over(self, tmp_path: Path, file: Path) -> None:
        state = State(tmp_path / "state")
        tokens = Tokens(file, state)
        over = Sessions(state, tokens, 0)
        assert over.find(over.begin(tokens.all()[0])) is None

    def test_it_outlives_a_restart(self, gate: Gate, tmp_path: Path, file: Path) -> None:
        secret = gate.sessions.begin(gate.tokens.all()[0])
        state = State(tmp_path / "state")
        assert Sessions(state, Tokens(file, state), 100).find(secret)

    def test_the_token_itself_is_no_session(self, gate: Gate) -> None:
        assert not gate.comfyui(question(cookie=f"{COOKIE}={ANN}")).ok


class TestOtherSites:
    @pytest.mark.parametrize(
        ("headers", "elsewhere"),
        [
            ({"host": "a.org"}, False),
            ({"host": "a.org", "origin": "https://a.org"}, False),
            ({"host": "a.org", "origin": "https://A.org:443"}, False),
            ({"host": "a.org:8443", "origin": "https://a.org:8443"}, False),
            ({"host": "a.org", "origin": "https://a.org:8443"}, True),
            ({"host": "a.org", "origin": "https://b.org"}, True),
            ({"host": "a.org", "origin": "https://a.org.b.org"}, True),
            ({"host": "a.org", "origin": "null"}, True),
            ({"host": "a.org", "origin": ""}, True),
            ({"host": "a.org", "origin": "https://a.org:x"}, True),
            ({"host": "a.org", "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, True),
            ({"host": "a.org", "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, False),
            ({"host": "a.org", "sec-fetch-site": "same-origin"}, False),
        ],
    )
    def test_a_page_of_another_site_is_told_from_ours(self, headers: dict[str, str], elsewhere: bool) -> None:
        assert from_elsewhere(headers) is elsewhere

    @pytest.mark.parametrize("uri", ["/ws?clientId=a", f"/ws?token={ANN}"])
    def test_its_websocket_is_refused_whatever_it_brings(self, gate: Gate, uri: str) -> None:
        secret = gate.sessions.begin(gate.tokens.all()[0])
        asked = question(uri, cookie=f"{COOKIE}={secret}", origin="https://evil.example", upgrade="websocket")
        assert gate.comfyui(asked).reason == "other-origin"


class TestGuessing:
    def test_different_wrong_tokens_are_slowed_down_and_one_wrong_token_is_not(self, gate: Gate) -> None:
        for _ in range(20):
            assert gate.comfyui(question(x_api_key="w" * 40)).status == 401
        for number in range(2):
            assert gate.comfyui(question(x_api_key=f"{number}" * 40)).status == 401
        late = gate.comfyui(question(x_api_key="z" * 40))
        assert late.reason == "throttled"
        assert 0 < late.wait <= WINDOW_SECONDS

    def test_a_right_token_tried_late_is_not_looked_at(self, gate: Gate) -> None:
        for number in range(3):
            gate.comfyui(question(x_api_key=f"{number}" * 40))
        assert gate.comfyui(question(x_api_key=ANN)).reason == "throttled"
        assert gate.comfyui(question(x_api_key=ANN, address="10.0.0.2")).ok

    def test_whoever_was_right_before_goes_on_beside_somebody_who_guesses(self, gate: Gate) -> None:
        assert gate.comfyui(question(x_api_key=ANN)).ok
        for number in range(9):
            gate.comfyui(question(x_api_key=f"{number}" * 40))
        assert gate.comfyui(question(x_api_key=ANN)).ok

    def test_it_is_over_after_a_minute(self) -> None:
        now = [0.0]
        guesses = Guesses(1, clock=lambda: now[0])
        guesses.was_wrong("a", "one")
        assert guesses.wait("a", "two")
        now[0] = WINDOW_SECONDS + 1
        assert not guesses.wait("a", "two")

    def test_neighbours_in_ipv6_count_as_one(self) -> None:
        guesses = Guesses(1)
        guesses.was_wrong("2001:db8::1", "one")
        assert guesses.wait("2001:db8::2", "two")
        assert not guesses.wait("2001:db8:0:1::2", "two")

    def test_an_ended_session_is_no_guess(self, gate: Gate) -> None:
        for number in range(9):
            assert gate.comfyui(question(cookie=f"{COOKIE}={number}")).status == 401
        assert gate.comfyui(question(x_api_key=ANN)).ok


class TestTheAuditLog:
    def test_each_decision_is_one_line_without_a_secret(
        self, gate: Gate, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "audit")
        gate.comfyui(question(f"/view?token={ANN}"))
        gate.comfyui(question("/free", "POST", x_api_key=ANN))
        gate.comfyui(question("/view", x_api_key="0" * 64))
        lines = [json.loads(record.message) for record in caplog.records]
        assert [(line["decision"], line["reason"], line["token"]) for line in lines] == [
            ("allow", "ok", "ann"),
            ("deny", "admin-only", "ann"),
            ("deny", "unknown-token", None),
        ]
        assert lines[0]["path"] == "/view"
        assert ANN not in caplog.text
        assert "0" * 64 not in caplog.text


@given(
    st.lists(st.sampled_from(["token=x", "%74oken=y", "tok%65n", "a=b", "", "token", "tokens=1"]), max_size=6)
)
def test_the_address_goes_on_without_any_token_and_with_all_else(parts: list[str]) -> None:
    left = without_token("/a%2Fb?" + "&".join(parts))
    kept = [part for part in parts if part in ("a=b", "", "tokens=1")]
    path, _, query = left.partition("?")
    assert path == "/a%2Fb"
    assert query == "&".join(kept)
