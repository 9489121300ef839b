"""Who comes in: every route for nobody, a wrong, revoked or expired token, a user and an admin; browsers; guessing."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import pytest

from tests.lab.names import PUBLIC_NAME

from .jobs import tokens
from .running import Done, bare_environment, run
from .site import BIN, Lab

ORIGIN = f"https://{PUBLIC_NAME}"
BAD = "0" * 64
# In which a token with an end is made, and signed in with, before it ends.
LIFE_SECONDS = 30
# In the guest, at the edge itself: nothing in between makes an address plainer than it was sent.
_ASK = """
import http.client, json, sys
answers = []
for method, path, headers in json.load(sys.stdin):
    connection = http.client.HTTPConnection("127.0.0.1", 8188, timeout=60)
    connection.putrequest(method, path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.putheader("Content-Length", "0")
    connection.endheaders()
    answers.append(connection.getresponse().status)
    connection.close()
print(json.dumps(answers))
"""

READ = [
    "/",
    "/system_stats",
    "/api/system_stats",
    "/queue",
    "/api/queue",
    "/prompt",
    "/history",
    "/history/x",
    "/object_info/KSampler",
    "/models",
    "/embeddings",
    "/features",
    "/extensions",
    "/users",
    "/settings",
    "/userdata?dir=x",
    "/userdata/x.js",
    "/userdata/x%2Fy.css",
    "/view?filename=none.png",
    "/view_metadata/loras?filename=x",
    "/user.css",
    "/favicon.ico",
    "/scripts/app.js",
    "/x.css.map",
    "/nothing.ico",
    "/api/nothing.js",
    "/ws",
]
READ_ADMIN = ["/internal/logs", "/internal/folder_paths", "/internal/files/input", "/manager/reboot"]
WRITE_USER = [
    "/upload/image",
    "/api/upload/image",
    "/upload/mask",
    "/prompt",
    "/api/prompt",
    "/queue",
    "/history",
]
WRITE_ADMIN = [
    ("POST", "/free"),
    ("POST", "/api/free"),
    ("POST", "/settings"),
    ("POST", "/settings/x"),
    ("POST", "/userdata/x.js"),
    ("POST", "/userdata/x.css"),
    ("DELETE", "/userdata/none.ico"),
    ("POST", "/userdata/x.js/move/y.js"),
    ("PUT", "/upload/image"),
    ("PATCH", "/prompt"),
    ("DELETE", "/queue"),
    ("POST", "/nothing.js"),
    ("POST", "/"),
]
# Of the service api itself; their bodies are empty here.
OWN_READ = ["/v1/models", "/v1/models/edit", "/v1/images/files/x", "/v1/docs", "/v1/openapi.json"]
OWN_WRITE = ["/v1/images/generations", "/v1/images/edits"]
OWN_ADMIN = ["/metrics", "/v1/tokens"]
# Each of these is, for some reader on the way, one of the routes above.
ODD = [
    "//free",
    "/./free",
    "/x/../free",
    "/%66ree",
    "/%2566ree",
    "/free/",
    "/free;x",
    "/free%00",
    "/free%23.js",
    "/free%3f.css",
    "/x/%2e%2e/free",
    "/x%2f..%2ffree",
    "/..%2ffree",
    "/../free",
    "/login/../free",
    "/login%2f..%2ffree",
    "/healthz/..%2ffree",
    "/readyz/..%2ffree",
    "/metrics/../free",
    "/v1/../free",
    "/v1/%2e%2e/free",
    "/v1/..;/free",
    "/_auth/../free",
    "/static/..%5cfree.js",
    "/free?x=/login",
    "/free?token=",
    "/userdata/..%2f..%2fmain.py.js",
]
INSIDE = ["/_auth", "/_uploads/upload/image", "/_jobs/queue", "/_jobs/prompt", "/_jobs/", "/_auth.js"]

Requests = list[tuple[str, str, dict[str, str]]]


def at_the_edge(lab: Lab, requests: Requests) -> list[int]:
    """The status of each request, sent to the edge's port in the guest exactly as it is given."""
    done = subprocess.run(
        lab.ssh("python3", "-c", _ASK),
        input=json.dumps(requests),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    statuses: list[int] = json.loads(done.stdout)
    return statuses


@dataclass(frozen=True)
class Who:
    """The callers, by the credential that each brings."""

    user: str
    other: str
    admin: str
    revoked: str
    expired: str
    # The cookie of a session that was begun with the expired one in time.
    outlived: str

    def strangers(self) -> list[tuple[str, dict[str, str]]]:
        """No token, a wrong, a revoked and an expired one, in each way of bringing one but that of `in_address`."""
        found: list[tuple[str, dict[str, str]]] = [
            ("nobody", {}),
            ("an empty one", {"Authorization": "Bearer "}),
            ("a session of an expired one", {"Cookie": self.outlived}),
        ]
        wrong = {"a wrong one": BAD, "a revoked one": self.revoked, "an expired one": self.expired}
        for name, token in wrong.items():
            found += [
                (f"{name} as bearer", {"Authorization": f"Bearer {token}"}),
                (f"{name} as key", {"X-API-Key": token}),
                (f"{name} as session", {"Cookie": f"__Host-comfystack={token}"}),
            ]
        return found

    def in_address(self, path: str) -> list[str]:
        wrong = (BAD, self.revoked, self.expired, "")
        return [f"{path}{'&' if '?' in path else '?'}token={token}" for token in wrong]


@pytest.fixture(scope="module")
def who(lab: Lab, deployed: Done) -> Iterator[Who]:
    end = datetime.now(UTC) + timedelta(seconds=LIFE_SECONDS)
    expired = tokens(lab, "create", "e2e-expired", "--scope", "admin", "--expires", f"{end:%FT%TZ}")["token"]
    browser = Browser(lab)
    assert browser.ask("POST", "/login", {"token": expired})[0] == 303
    ways: Requests = [("GET", "/queue", head) for head in (bearer(expired), {"Cookie": browser.cookie})]
    assert at_the_edge(lab, ways) == [200, 200]
    made = {name: tokens(lab, "create", f"e2e-{name}")["token"] for name in ("user", "other", "revoked")}
    tokens(lab, "revoke", "e2e-revoked")
    while datetime.now(UTC) <= end:
        time.sleep(1)
    yield Who(made["user"], made["other"], lab.secret("token"), made["revoked"], expired, browser.cookie)
    for name in ("user", "other", "expired"):
        tokens(lab, "revoke", f"e2e-{name}")


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


class TestEveryRoute:
    def test_strangers_are_refused_on_each_however_it_is_written(self, lab: Lab, who: Who) -> None:
        plain = [("GET", path) for path in READ + READ_ADMIN]
        plain += [("POST", path) for path in [*WRITE_USER, "/interrupt"]] + WRITE_ADMIN
        plain += [("GET", path) for path in OWN_READ + OWN_ADMIN] + [("POST", path) for path in OWN_WRITE]
        plain += [("POST", "/v1/tokens"), ("DELETE", "/v1/tokens/lab")]
        requests: Requests = [
            (method, path, headers) for method, path in plain for _, headers in who.strangers()
        ] + [(method, way, {}) for method, path in plain for way in who.in_address(path)]
        holes = [
            (status, method, path)
            for (method, path, _), status in zip(requests, at_the_edge(lab, requests), strict=True)
            if status != 401
        ]
        assert holes == []

        odd: Requests = [
            (method, path, headers)
            for path in ODD + INSIDE
            for method in ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS")
            for _, headers in who.strangers()
        ]
        holes = [
            (status, method, path)
            for (method, path, _), status in zip(odd, at_the_edge(lab, odd), strict=True)
            # What nginx itself cannot read, or keeps to itself, is told as such.
            if status not in ((404,) if path in INSIDE[:5] else (400, 401, 404, 405))
            or (status in (404, 405) and path not in INSIDE)
        ]
        assert holes == []

    def test_a_user_reads_and_has_own_jobs_and_nothing_else(self, lab: Lab, who: Who) -> None:
        opened: Requests = [("GET", path, bearer(who.user)) for path in READ + OWN_READ]
        opened += [("POST", path, bearer(who.user)) for path in WRITE_USER + OWN_WRITE]
        refused = [
            (method, path)
            for (method, path, _), status in zip(opened, at_the_edge(lab, opened), strict=True)
            if status in (401, 403) or status >= 500
        ]
        assert refused == []
        closed: Requests = [("GET", path, bearer(who.user)) for path in READ_ADMIN]
        closed += [(method, path, bearer(who.user)) for method, path in WRITE_ADMIN]
        closed += [("GET", path, bearer(who.user)) for path in OWN_ADMIN]
        closed += [("DELETE", "/v1/tokens/lab", bearer(who.user))]
        closed += [(method, path, bearer(who.user)) for path in ODD for method in ("POST", "PUT", "DELETE")]
        holes = [
            (status, method, path)
            for (method, path, _), status in zip(closed, at_the_edge(lab, closed), strict=True)
            if status not in (400, 403) and not (path == "/v1/..;/free" and status == 404)
        ]
        assert holes == []

    def test_an_admin_does_everything(self, lab: Lab, who: Who) -> None:
        requests: Requests = [("GET", path, bearer(who.admin)) for path in READ + READ_ADMIN]
        requests += [("POST", path, bearer(who.admin)) for path in [*WRITE_USER, "/interrupt"]]
        requests += [(method, path, bearer(who.admin)) for method, path in WRITE_ADMIN]
        requests += [("GET", path, bearer(who.admin)) for path in OWN_READ + OWN_ADMIN]
        requests += [("POST", path, bearer(who.admin)) for path in OWN_WRITE]
        refused = [
            (status, method, path)
            for (method, path, _), status in zip(requests, at_the_edge(lab, requests), strict=True)
            if status in (401, 403)
        ]
        assert refused == []

    def test_what_needs_no_token_is_the_sign_in_page_and_the_pulse(self, lab: Lab, who: Who) -> None:
        open_to_all = ("/login", "/healthz", "/readyz")
        assert at_the_edge(lab, [("GET", path, {}) for path in open_to_all]) == [200] * 3

    def test_no_header_of_a_client_decides_for_the_service(self, lab: Lab, who: Who) -> None:
        invented = [
            {"X-Original-URI": "/healthz", "X-Original-Method": "GET"},
            {"X-Forward-Uri": "/system_stats", "X-Token-Name": "lab"},
            {"X-Original-URL": "/login"},
            {"X-Rewrite-URL": "/login"},
            {"X-Refusal": "ok 0"},
            {"X-HTTP-Method-Override": "GET"},
            {"Host": "api:8190"},
        ]
        strangers: Requests = [("GET", "/system_stats", headers) for headers in invented]
        assert at_the_edge(lab, strangers) == [401] * len(invented)
        users: Requests = [("POST", "/free", {**headers, **bearer(who.user)}) for headers in invented]
        assert at_the_edge(lab, users) == [403] * len(invented)


@dataclass
class Browser:
    """As much of a browser as signing in needs: one cookie, and the headers by which a page tells where it is."""

    lab: Lab
    cookie: str = ""

    def ask(
        self, method: str, path: str, form: dict[str, str] | None = None, **headers: str
    ) -> tuple[int, dict[str, str]]:
        access = self.lab.access
        address, _, port = access["connect_to"][PUBLIC_NAME].rpartition(":")
        context = ssl.create_default_context(cafile=access["ca_file"])
        given = {"Accept": "text/html", **({"Origin": ORIGIN} if method == "POST" else {})}
        given |= {"Cookie": self.cookie} if self.cookie else {}
        body = None if form is None else urlencode(form)
        if form is not None:
            given["Content-Type"] = "application/x-www-form-urlencoded"
        with (
            socket.create_connection((address, int(port)), timeout=60) as plain,
            context.wrap_socket(plain, server_hostname=PUBLIC_NAME) as stream,
        ):
            connection = http.client.HTTPConnection(PUBLIC_NAME)
            connection.sock = stream
            connection.request(method, path, body, given | headers)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            answer.read()
            if "set-cookie" in found:
                self.cookie = found["set-cookie"].split(";")[0]
            return answer.status, found

    def socket_opens(self, origin: str) -> int:
        """101, or the status of the refusal."""
        return asyncio.run(self._socket(origin))

    async def _socket(self, origin: str) -> int:
        access = self.lab.access
        address, _, port = access["connect_to"][PUBLIC_NAME].rpartition(":")
        headers = {"Host": PUBLIC_NAME, "Cookie": self.cookie}
        tls = ssl.create_default_context(cafile=access["ca_file"])
        async with aiohttp.ClientSession() as session:
            try:
                async with session.ws_connect(
                    f"https://{address}:{port}/ws?clientId=e2e",
                    headers=headers,
                    origin=origin,
                    ssl=tls,
                    server_hostname=PUBLIC_NAME,
                    timeout=aiohttp.ClientWSTimeout(20),
                ) as ws:
                    assert (await ws.receive(timeout=20)).json()["type"] == "status"
                    return 101
            except aiohttp.WSServerHandshakeError as refused:
                return refused.status


def test_a_browser_signs_in_opens_the_page_and_its_socket_and_signs_out(lab: Lab, who: Who) -> None:
    browser = Browser(lab)
    status, headers = browser.ask("GET", "/?workflow=1")
    assert (status, headers["location"]) == (303, "/login?next=%2F%3Fworkflow%3D1")
    assert browser.ask("GET", headers["location"])[0] == 200
    assert browser.ask("POST", "/login", {"token": BAD, "next": "/"})[0] == 401
    status, headers = browser.ask("POST", "/login", {"token": who.user, "next": "/?workflow=1"})
    assert (status, headers["location"]) == (303, "/?workflow=1")
    for word in ("Secure", "HttpOnly", "SameSite=Strict"):
        assert word in headers["set-cookie"]
    assert browser.ask("GET", "/?workflow=1")[0] == 200
    assert browser.socket_opens(ORIGIN) == 101
    # Pages of other sites, although the browser might send the cookie along.
    assert browser.socket_opens("https://evil.example") == 403
    assert browser.ask("POST", "/prompt", None, **{"Origin": "https://evil.example"})[0] == 403
    signed_in = browser.cookie
    assert browser.ask("POST", "/logout")[0] == 303
    assert Browser(lab, signed_in).ask("GET", "/system_stats")[0] == 303
    assert Browser(lab, signed_in).socket_opens(ORIGIN) == 401


def test_a_session_ends_with_its_token_and_tokens_are_exchanged_without_a_gap(lab: Lab, who: Who) -> None:
    first = tokens(lab, "create", "e2e-first")["token"]
    browser = Browser(lab)
    assert browser.ask("POST", "/login", {"token": first})[0] == 303
    second = tokens(lab, "create", "e2e-second")["token"]
    asked: Requests = [("GET", "/queue", bearer(token)) for token in (first, second)]
    assert at_the_edge(lab, asked) == [200, 200]
    tokens(lab, "revoke", "e2e-first")
    assert at_the_edge(lab, asked) == [401, 200]
    assert browser.ask("GET", "/queue")[0] == 303
    tokens(lab, "revoke", "e2e-second")


def test_a_token_that_has_expired_is_told_so_and_has_ended_its_session_too(
    lab: Lab, who: Who, tmp_path: Path
) -> None:
    browser = Browser(lab, who.outlived)
    status, headers = browser.ask("GET", "/queue")
    assert (status, headers["location"]) == (303, "/login?next=%2Fqueue")
    assert browser.socket_opens(ORIGIN) == 401
    assert Browser(lab).ask("POST", "/login", {"token": who.expired})[0] == 401
    told = ask_with(lab, who.expired, tmp_path, "queue")
    assert (told.code, "answered 401: the token has expired" in told.output) == (3, True), told
    told = ask_with(lab, who.revoked, tmp_path, "queue")
    assert (told.code, "answered 401: the token was not accepted" in told.output) == (3, True), told
    listed = {one["name"]: one for one in tokens(lab, "list")["tokens"]}
    assert (listed["e2e-expired"]["expired"], listed["e2e-user"]["expired"]) == (True, False)
    log = lab.guest("audit-expired", "docker logs api 2>&1")
    line = next(line for line in reversed(log.splitlines()) if '"expired-token"' in line)
    assert '"token": "e2e-expired"' in line


def test_guessing_through_the_public_name_is_slowed_down_and_no_user_is_shut_out(lab: Lab, who: Who) -> None:
    browser = Browser(lab)
    assert browser.ask("GET", "/queue", None, **bearer(who.user))[0] == 200
    answers = [
        browser.ask("GET", "/queue", None, **{"X-API-Key": f"{number:064}"}) for number in range(1, 15)
    ]
    assert answers[-1][0] == 429
    assert int(answers[-1][1]["retry-after"]) > 0
    assert browser.ask("POST", "/login", {"token": who.other})[0] == 429
    assert browser.ask("GET", "/queue", None, **bearer(who.user))[0] == 200


def test_each_decision_is_one_line_of_the_log_without_a_secret(lab: Lab, who: Who) -> None:
    at_the_edge(lab, [("POST", f"/free?token={who.user}", {})])
    log = lab.guest("audit", "docker logs api 2>&1")
    line = json.loads(
        next(line for line in reversed(log.splitlines()) if '"/free"' in line).removeprefix("audit ")
    )
    assert (line["decision"], line["reason"], line["token"], line["via"]) == (
        "deny",
        "admin-only",
        "e2e-user",
        "query",
    )
    edge = lab.guest("edge-log", "docker logs edge 2>&1")
    for token in (who.user, who.other, who.revoked, who.expired):
        assert token not in log
        assert token not in edge


def test_nobody_is_let_in_while_the_service_is_away(lab: Lab, who: Who) -> None:
    lab.guest("api-away", "docker stop api")
    try:
        asked: Requests = [
            ("GET", path, headers)
            for path in ("/queue", "/x.css", "/ws")
            for headers in ({}, bearer(who.admin))
        ]
        assert at_the_edge(lab, asked) == [503] * len(asked)
        away: Requests = [("GET", "/login", {}), ("POST", "/prompt", bearer(who.admin))]
        assert at_the_edge(lab, away) == [502, 502]
    finally:
        lab.guest("api-back", "docker compose -f /opt/comfystack/api/compose.yml up -d --wait")
    assert at_the_edge(lab, [("GET", "/queue", bearer(who.admin))]) == [200]


def ask_with(lab: Lab, token: str, room: Path, *words: str) -> Done:
    """A command of the client's with a token that is not the access file's."""
    file = room / "token"
    file.write_text(token)
    file.chmod(0o600)
    way = ("--access", str(lab.access_file), "--token-file", str(file))
    return run("-".join(words), [str(BIN / "comfystack"), *words, *way], bare_environment(), 60)


def test_the_client_tells_a_user_what_the_scope_does_not_reach(lab: Lab, who: Who, tmp_path: Path) -> None:
    done = ask_with(lab, who.user, tmp_path, "tokens", "list")
    assert done.code == 3
    assert "answered 403" in done.output
