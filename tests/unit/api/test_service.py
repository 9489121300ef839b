"""The service itself, asked over its port: by the edge, by browsers, by admins, and about jobs."""

from __future__ import annotations

import json
import logging
import uuid
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlencode

import pytest
from comfystack_api.sessions import COOKIE
from comfystack_api.tokens import digest_of

from tests.contract.server import Answer, Server, wait_for

from .conftest import TOKENS, Service, running

HOST = "images.example.org"
ORIGIN = f"https://{HOST}"


class TestTheEdgesQuestion:
    def test_who_may_pass_is_sent_on_without_the_token(self, service: Service) -> None:
        uri = f"/view?filename=a%2Fb&token={TOKENS['ann']}&type=output"
        answer = service.edge("GET", uri)
        assert answer.status == 204
        assert answer.headers["X-Forward-Uri"] == "/view?filename=a%2Fb&type=output"
        assert answer.headers["X-Token-Name"] == "ann"

    @pytest.mark.parametrize(
        ("method", "uri", "who", "status", "refusal"),
        [
            ("GET", "/", None, 401, "no-token 0"),
            ("GET", "/x.css", "0" * 64, 401, "unknown-token 0"),
            ("POST", "/free", "ann", 403, "admin-only 0"),
            ("POST", "/free", "operator", 204, None),
            ("GET", "/a#b", "operator", 403, "malformed 0"),
            ("GET", "/history?max_items=x", "ann", 403, "no-number 0"),
            ("GET", "/history?max_items=x", None, 401, "no-token 0"),
            ("GET", "/history?max_items=2", "ann", 204, None),
        ],
    )
    def test_it_is_answered_in_the_two_ways_that_nginx_knows(
        self, service: Service, method: str, uri: str, who: str | None, status: int, refusal: str | None
    ) -> None:
        answer = service.edge(method, uri, who)
        assert answer.status == status
        assert answer.headers.get("X-Refusal") == refusal

    def test_a_program_gets_json_and_a_browser_the_sign_in_page(self, service: Service) -> None:
        asked = {"X_Refusal": "no-token 0", "X_Original_Method": "GET", "X_Original_URI": "/a?b=1&token=x"}
        program = service.ask("GET", "/refused", None, None, **asked)
        assert program.status == 401
        assert program.headers["WWW-Authenticate"].startswith("Bearer")
        assert program.json()["error"]["type"] == "authentication"
        browser = service.ask("GET", "/refused", None, None, Accept="text/html,*/*", **asked)
        assert (browser.status, browser.headers["Location"]) == (303, "/login?next=%2Fa%3Fb%3D1")

    def test_a_throttled_one_is_told_when_to_come_again(self, service: Service) -> None:
        answer = service.ask("GET", "/refused", X_Refusal="throttled 17")
        assert (answer.status, answer.headers["Retry-After"]) == (429, "17")

    @pytest.mark.parametrize("refusal", ["", "ok 0", "nonsense", "no-token 1 2", "\xff"])
    def test_nothing_that_is_said_there_becomes_a_success(self, service: Service, refusal: str) -> None:
        assert service.ask("GET", "/refused", X_Refusal=refusal).status == 401


def sign_in(service: Service, token: str, target: str = "/", **headers: str) -> Answer:
    form = urlencode({"token": token, "next": target}).encode()
    given = {"Host": HOST, "Origin": ORIGIN, "Content_Type": "application/x-www-form-urlencoded", **headers}
    return service.ask("POST", "/login", None, form, **given)


class TestSigningIn:
    def test_a_token_becomes_a_session_that_opens_until_it_is_ended(self, service: Service) -> None:
        answer = sign_in(service, TOKENS["ann"], "/?workflow=1")
        assert (answer.status, answer.headers["Location"]) == (303, "/?workflow=1")
        pair, *attributes = answer.headers["Set-Cookie"].split("; ")
        assert set(attributes) >= {"Secure", "HttpOnly", "SameSite=Strict", "Path=/"}
        assert service.edge("GET", "/ws", Cookie=pair, Host=HOST, Origin=ORIGIN).status == 204
        assert b"Signed in as ann" in service.ask("GET", "/login", Cookie=pair).content
        out = service.ask("POST", "/logout", Cookie=pair, Host=HOST, Origin=ORIGIN)
        assert (out.status, out.headers["Location"]) == (303, "/login")
        assert "Max-Age=0" in out.headers["Set-Cookie"]
        assert service.edge("GET", "/ws", Cookie=pair).status == 401

    def test_a_wrong_token_shows_the_page_again(self, service: Service) -> None:
        answer = sign_in(service, "wrong")
        assert answer.status == 401
        assert "not valid" in answer.text
        assert "Set-Cookie" not in answer.headers

    def test_guessing_is_throttled_here_too(self, service: Service) -> None:
        statuses = [sign_in(service, f"{number:064}").status for number in range(12)]
        assert statuses == [401] * 10 + [429] * 2
        assert sign_in(service, TOKENS["ann"]).status == 429

    def test_a_form_of_another_site_signs_nobody_in_or_out(self, service: Service) -> None:
        assert sign_in(service, TOKENS["ann"], Origin="https://evil.example").status == 403
        pair = sign_in(service, TOKENS["ann"]).headers["Set-Cookie"].split("; ")[0]
        out = service.ask("POST", "/logout", Cookie=pair, Host=HOST, Origin="https://evil.example")
        assert out.status == 403
        assert service.edge("GET", "/", Cookie=pair).status == 204

    @pytest.mark.parametrize(
        "target",
        [
            "https://evil.example/",
            "//evil.example",
            "/\\evil.example",
            "/a\r\nSet-Cookie: x=y",
            "/login",
            "",
            "é",
        ],
    )
    def test_it_leads_to_this_site_only(self, service: Service, target: str) -> None:
        answer = sign_in(service, TOKENS["ann"], target)
        assert (answer.status, answer.headers["Location"]) == (303, "/")

    def test_the_page_shows_nothing_of_the_address_as_markup(self, service: Service) -> None:
        page = service.ask("GET", "/login?next=/%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
        assert b"<script" not in page.content
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]

    def test_a_form_that_never_ends_is_cut(self, service: Service) -> None:
        assert sign_in(service, "x" * 10_000).status == 413


class TestTokensOverThePort:
    NEW: ClassVar = {"name": "course", "scope": "user", "sha256": digest_of("c" * 40)}

    def test_an_admin_makes_lists_and_revokes(self, service: Service) -> None:
        assert service.post("/v1/tokens", self.NEW, "operator").status == 201
        assert service.edge("GET", "/", "c" * 40).status == 204
        listed = service.ask("GET", "/v1/tokens", "operator")
        assert [one["name"] for one in listed.json()["tokens"]] == ["ann", "ben", "operator", "course"]
        assert digest_of("c" * 40) not in listed.text
        assert service.ask("DELETE", "/v1/tokens/course", "operator").status == 200
        assert service.edge("GET", "/", "c" * 40).status == 401
        again = service.post("/v1/tokens", {**self.NEW, "name": "other"}, "operator")
        assert (again.status, "revoked" in again.text) == (409, True)

    @pytest.mark.parametrize("who", [None, "0" * 64, "ann"])
    def test_nobody_else_does(self, service: Service, who: str | None) -> None:
        status = 403 if who == "ann" else 401
        assert service.ask("GET", "/v1/tokens", who).status == status
        assert service.post("/v1/tokens", self.NEW, who).status == status
        assert service.ask("DELETE", "/v1/tokens/operator", who).status == status
        assert service.edge("GET", "/", "operator").status == 204

    @pytest.mark.parametrize("body", [b"", b"{", b"x" * 100_000])
    def test_who_asks_is_looked_at_before_the_body(self, service: Service, body: bytes) -> None:
        assert service.ask("POST", "/v1/tokens", None, body).status == 401
        assert service.ask("POST", "/v1/tokens", "ann", body).status == 403
        assert service.ask("POST", "/v1/tokens", "operator", body).status == 400

    @pytest.mark.parametrize(
        "wrong",
        [
            {"name": ""},
            {"name": "a b"},
            {"name": "a\r\nX: y"},
            {"name": "x" * 65},
            {"scope": "root"},
            {"sha256": "c" * 40},
            {"sha256": None},
        ],
    )
    def test_a_wrong_one_is_told_and_not_made(self, service: Service, wrong: dict[str, object]) -> None:
        answer = service.post("/v1/tokens", {**self.NEW, **wrong}, "operator")
        assert answer.status == 400
        assert len(service.ask("GET", "/v1/tokens", "operator").json()["tokens"]) == 3

    def test_a_name_or_a_token_that_is_there_is_told(self, service: Service) -> None:
        assert service.post("/v1/tokens", {**self.NEW, "name": "ann"}, "operator").status == 409
        taken = {**self.NEW, "sha256": digest_of(TOKENS["ann"])}
        assert service.post("/v1/tokens", taken, "operator").status == 409

    def test_they_outlive_a_restart(self, tmp_path: Path) -> None:
        with running(tmp_path, "http://127.0.0.1:9") as first:
            assert first.post("/v1/tokens", self.NEW, "operator").status == 201
            assert first.ask("DELETE", "/v1/tokens/ann", "operator").status == 200
        with running(tmp_path, "http://127.0.0.1:9") as second:
            assert second.edge("GET", "/", "c" * 40).status == 204
            assert second.edge("GET", "/", "ann").status == 401


GRAPH = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 1}},
    "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
}


class TestOwnJobs:
    """`ann` and `ben` share the server; each has only the own jobs. ComfyUI's side is looked at directly."""

    def submit(self, service: Service, who: str, **more: object) -> Answer:
        return service.post("/_jobs/prompt", {"prompt": GRAPH, **more}, who)

    @pytest.fixture
    def anns(self, with_comfyui: Service, comfyui: Server) -> str:
        """A finished job of ann's."""
        answer = self.submit(with_comfyui, "ann")
        assert answer.status == 200, answer.text
        prompt_id = str(answer.json()["prompt_id"])
        comfyui.finished(prompt_id)
        return prompt_id

    def test_an_id_of_ones_own_is_kept(self, with_comfyui: Service) -> None:
        mine = str(uuid.uuid4())
        assert self.submit(with_comfyui, "ann", prompt_id=mine).json()["prompt_id"] == mine

    def test_comfyuis_own_refusals_come_through(self, with_comfyui: Service) -> None:
        answer = with_comfyui.post("/_jobs/prompt", {"prompt": {}}, "ann")
        assert (answer.status, answer.json()["error"]["type"]) == (400, "prompt_no_outputs")
        answer = self.submit(with_comfyui, "ann", prompt_id="no-uuid")
        assert (answer.status, answer.json()["error"]["type"]) == (400, "invalid_prompt_id")

    @pytest.mark.parametrize("body", [b"", b"[]", b"x", b"1", b"\xff", b'"a"'])
    def test_what_is_no_job_is_a_400(self, with_comfyui: Service, body: bytes) -> None:
        assert with_comfyui.ask("POST", "/_jobs/prompt", "ann", body).status == 400

    @pytest.mark.parametrize(
        ("route", "body"),
        [
            ("prompt", {"prompt": []}),
            ("prompt", {"prompt": None}),
            ("prompt", {"prompt": {"1": 5}}),
            ("prompt", {"prompt": {"1": {"class_type": [], "inputs": {}}}}),
            ("prompt", {"prompt": {"1": {"class_type": "EmptyImage", "inputs": []}}}),
            ("prompt", {"prompt": GRAPH, "number": "x"}),
            ("prompt", {"prompt": GRAPH, "number": None}),
            ("prompt", {"prompt": GRAPH, "number": 10**400}),
            ("prompt", {"prompt": GRAPH, "extra_data": 5}),
            ("prompt", {"prompt": GRAPH, "client_id": ["a"]}),
            ("prompt", {"prompt": GRAPH, "partial_execution_targets": 5}),
            ("queue", {"delete": 5}),
            ("history", {"delete": [["a"]]}),
            ("interrupt", {"prompt_id": {}}),
        ],
    )
    def test_a_field_of_another_kind_is_told_and_never_comfyuis_500(
        self, with_comfyui: Service, route: str, body: dict[str, object]
    ) -> None:
        for who in ("ann", "operator"):
            answer = with_comfyui.post(f"/_jobs/{route}", body, who)
            assert (answer.status, answer.json()["error"]["type"]) == (400, "no_prompt"), answer.text
            assert "; expected " in answer.json()["error"]["message"]

    @pytest.mark.parametrize("body", [{"prompt": []}, {"prompt": GRAPH, "number": "x"}, {"prompt": {"1": 5}}])
    def test_it_is_comfyuis_own_500_without_the_service(
        self, comfyui: Server, body: dict[str, object]
    ) -> None:
        said = json.dumps(body).encode()
        assert comfyui.ask("POST", "/prompt", said, {"Content-Type": "application/json"}).status == 500

    def test_only_an_admin_frees_memory_and_a_body_that_is_none_frees_nothing(
        self, with_comfyui: Service
    ) -> None:
        wish = {"unload_models": True}
        assert [with_comfyui.post("/_jobs/free", wish, who).status for who in ("ann", "operator")] == [
            403,
            200,
        ]
        answers = [with_comfyui.ask("POST", "/_jobs/free", "operator", body) for body in (b"", b"x", b"[]")]
        assert [answer.status for answer in answers] == [200, 400, 400]

    def test_settings_are_an_admins_and_json(self, with_comfyui: Service, comfyui: Server) -> None:
        def sent(route: str, body: bytes, who: str = "operator") -> int:
            return with_comfyui.ask("POST", f"/_jobs/settings{route}", who, body).status

        assert sent("", b'{"a": 1}', "ann") == sent("/b", b"2", "ann") == 403
        assert [sent("", b'{"a": 1}'), sent("/b%20c", b"[2]"), sent("/d", b"null")] == [200] * 3
        assert comfyui.ask("GET", "/settings").json() == {"a": 1, "b c": [2], "d": None}
        for route, body in (("", b"x"), ("", b"[]"), ("/b", b"x"), ("/b", b"")):
            assert sent(route, body) == 400
            assert comfyui.ask("POST", f"/settings{route}", body).status == 500
        assert with_comfyui.post("/_jobs/free/x", {}, "operator").status == 404

    def test_the_log_tells_of_the_path_that_was_sent(
        self, service: Service, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "audit")
        service.post("/_jobs/free", {}, "ann")
        service.post("/_uploads/upload/image", {}, "ann")
        told = [json.loads(record.message)["path"] for record in caplog.records if record.name == "audit"]
        assert told == ["/free", "/upload/image"]

    def test_what_may_be_null_may_be(self, with_comfyui: Service) -> None:
        assert self.submit(with_comfyui, "ann", client_id=None, partial_execution_targets=None).status == 200

    @pytest.mark.parametrize("more", [{"front": True}, {"number": -1}])
    def test_nobody_but_an_admin_goes_before_others(
        self, with_comfyui: Service, more: dict[str, object]
    ) -> None:
        assert self.submit(with_comfyui, "ann", **more).status == 403
        assert self.submit(with_comfyui, "operator", **more).status == 200

    def test_somebody_elses_id_cannot_be_taken(self, with_comfyui: Service, anns: str) -> None:
        assert self.submit(with_comfyui, "ben", prompt_id=anns).status == 403

    def test_a_history_is_forgotten_by_its_owner_only(
        self, with_comfyui: Service, comfyui: Server, anns: str
    ) -> None:
        forget = {"delete": [anns]}
        assert with_comfyui.post("/_jobs/history", forget, "ben").status == 403
        assert comfyui.get(f"/history/{anns}").json()
        assert with_comfyui.post("/_jobs/history", forget, "ann").status == 200
        assert not comfyui.get(f"/history/{anns}").json()

    @pytest.mark.parametrize("name", ["queue", "history"])
    def test_only_an_admin_clears(self, with_comfyui: Service, name: str) -> None:
        assert with_comfyui.post(f"/_jobs/{name}", {"clear": True}, "ann").status == 403
        assert with_comfyui.post(f"/_jobs/{name}", {"clear": True, "delete": []}, "ann").status == 403
        assert with_comfyui.post(f"/_jobs/{name}", {"clear": True}, "operator").status == 200

    def test_a_running_job_is_stopped_by_its_owner_or_an_admin(
        self, with_comfyui: Service, comfyui: Server, long_graph: dict[str, object]
    ) -> None:
        for body, stopper in (("id", "ann"), ("bare", "ann"), ("bare", "operator")):
            answer = with_comfyui.post("/_jobs/prompt", {"prompt": long_graph}, "ann")
            assert answer.status == 200, answer.text
            job = str(answer.json()["prompt_id"])
            wait_for(lambda: comfyui.get("/queue").json()["queue_running"])
            asked = {"prompt_id": job} if body == "id" else {}
            assert with_comfyui.post("/_jobs/interrupt", asked, "ben").status == 403
            assert with_comfyui.post("/_jobs/interrupt", asked, stopper).status == 200
            status = comfyui.finished(job)["status"]
            assert status["messages"][-1][0] == "execution_interrupted"

    def test_nothing_happens_for_a_job_that_nobody_has(self, with_comfyui: Service) -> None:
        unknown = str(uuid.uuid4())
        assert with_comfyui.post("/_jobs/queue", {"delete": [unknown]}, "ann").status == 200
        assert with_comfyui.post("/_jobs/interrupt", {"prompt_id": unknown}, "ann").status == 200
        assert with_comfyui.ask("POST", "/_jobs/interrupt", "ann", b"").status == 200

    def test_the_owner_is_known_after_a_restart(
        self, with_comfyui: Service, anns: str, tmp_path: Path
    ) -> None:
        with running(tmp_path, with_comfyui.settings.comfyui_url) as again:
            assert again.post("/_jobs/history", {"delete": [anns]}, "ben").status == 403

    @pytest.mark.parametrize("name", ["prompt", "queue", "interrupt", "history"])
    def test_nobody_comes_in_without_a_token(self, with_comfyui: Service, name: str) -> None:
        assert with_comfyui.post(f"/_jobs/{name}", {}).status == 401
        assert with_comfyui.post(f"/_jobs/{name}", {}, "0" * 64).status == 401

    def test_a_comfyui_that_is_away_is_told(self, service: Service) -> None:
        answer = service.post("/_jobs/prompt", {"prompt": GRAPH}, "ann")
        assert (answer.status, answer.json()["error"]["type"]) == (502, "unavailable")


def test_a_cookie_that_is_no_cookie_harms_nobody(service: Service) -> None:
    for header in ("", ";;;", f"{COOKIE}", f'{COOKIE}="', "\x01=\x02", "a" * 5000):
        assert service.edge("GET", "/", Cookie=header).status == 401


def test_an_unknown_address_is_told_in_json(service: Service) -> None:
    answer = service.ask("GET", "/v1/nothing", "ann")
    assert (answer.status, json.loads(answer.content)["error"]["type"]) == (404, "unknown")
