"""What a token of scope `user` may do, however the address is written."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import quote

import pytest
from comfystack_api import rules
from hypothesis import given
from hypothesis import strategies as st

ROUTES = "\n".join(path.read_text() for path in Path("tests/lab/comfyui/comfysim").glob("*_routes.py"))
WRITING = sorted(set(re.findall(r'outes\.(post|put|patch|delete)\("(/[^"]*)"', ROUTES)))


@pytest.mark.parametrize("path", ["/", "/system_stats", "/api/queue", "/view", "/ws", "/userdata/a%2Fb.json"])
def test_reading_is_open(path: str) -> None:
    assert rules.user_may("GET", path)


@pytest.mark.parametrize(
    "path",
    [
        "/internal/logs",
        "/api/internal/logs",
        "//internal/logs",
        "/x/../internal/logs",
        "/%69nternal/logs",
        "/%2569nternal/logs",
        "/x/%2e%2e/internal/logs",
        "/INTERNAL/logs",
        "/manager/reboot",
        "/api/manager/reboot",
        "/api//manager/reboot",
        "/customnode/install",
        "/v2/manager/queue/start",
        "/snapshot/restore",
    ],
)
def test_what_reading_may_not_reach_is_closed_however_it_is_written(path: str) -> None:
    assert not rules.user_may("GET", path)
    assert not rules.user_may("HEAD", path)


def test_of_all_writing_routes_of_comfyui_a_user_has_the_two_uploads_straight() -> None:
    assert len(WRITING) > 10, "the routes were not read"
    opened = {path for method, path in WRITING if rules.user_may(method.upper(), path)}
    assert opened == {"/upload/image", "/upload/mask"}
    # Those about jobs are never asked straight; the edge leads them here.
    assert {path for _, path in WRITING} >= rules.OWN_JOBS - {"/history"}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "MOVE", "TRACE", "post", ""])
@pytest.mark.parametrize(
    "path",
    [
        "/free",
        "/api/free",
        "/settings",
        "/userdata/x.js",
        "/userdata/..%2F..%2Fmain.py",
        "/users",
        "/prompt",
        "/prompt/",
        "/%70rompt",
        "/upload/image/",
        "/upload%2Fimage",
        "/upload/../free",
        "/x/../upload/image",
        "/upload/image.css",
        "/api/api/upload/image",
    ],
)
def test_what_changes_something_is_closed_however_it_is_written(method: str, path: str) -> None:
    assert not rules.user_may(method, path)


@given(st.text(st.characters(codec="ascii"), max_size=30), st.sampled_from(["POST", "PUT", "DELETE"]))
def test_no_writing_gets_through_but_the_four_addresses(text: str, method: str) -> None:
    path = "/" + text
    if path not in {"/upload/image", "/upload/mask", "/api/upload/image", "/api/upload/mask"}:
        assert not rules.user_may(method, path)


@given(st.integers(0, 3), st.sampled_from(["", "/", "/.", "/x/.."]), st.sampled_from(["", "/api"]))
def test_no_way_of_writing_it_opens_what_is_closed(times: int, before: str, api: str) -> None:
    path = f"{api}{before}/internal/logs"
    encoded = "/internal"
    for _ in range(times):
        encoded = "/" + "".join(quote(c, safe="") if c != "%" else "%25" for c in encoded[1:])
        encoded = encoded.replace("i", "%69", 1)
    assert not rules.user_may("GET", path)
    assert not rules.user_may("GET", f"{api}{before}{encoded}/logs")


@pytest.mark.parametrize("uri", ["", "x", "http://a/b", "/a#b", "/a b", "/a\\b", "/a\r\nX: y", "/é"])
def test_an_address_that_could_be_read_in_two_ways_is_malformed(uri: str) -> None:
    assert not rules.well_formed(uri)


def test_the_pages_list_is_the_rules() -> None:
    page = Path("docs/sign-in.md").read_text()
    for folder in rules.CLOSED:
        assert f"`/{folder}`" in page, folder
    for path in rules.OPEN | rules.OWN_JOBS:
        assert f"`{path}`" in page, path
    assert json.dumps(sorted(rules.READING)) == '["GET", "HEAD", "OPTIONS"]'
