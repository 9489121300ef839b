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


def test_of_all_writing_routes_of_comfyui_a_user_has_none_straight() -> None:
    assert len(WRITING) > 10, "the routes were not read"
    assert not [path for method, path in WRITING if rules.user_may(method.upper(), path)]
    # The edge leads these here (nginx.conf).
    assert {path for _, path in WRITING} >= rules.OWN_JOBS | rules.UPLOADS - {"/history"}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "MOVE", "TRACE", "post", ""])
@pytest.mark.parametrize(
    "path",
    [
        "/free",
        "/upload/image",
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


@pytest.mark.parametrize(
    ("query", "right"),
    [
        ("", True),
        ("max_items=10", True),
        ("max_items=-1&offset=%2B3", True),
        ("max_items=1&other=x", True),
        ("max_items=x", False),
        ("max_items=", False),
        ("max_items", False),
        ("max_items=1.5", False),
        ("max%5Fitems=x", False),
        ("max_items=1%ff", False),
        ("offset=" + "9" * 5000, False),
        ("max_items=1&offset=0x1", False),
        ("max_items=1&max_items=x", False),
    ],
)
@pytest.mark.parametrize("path", ["/history", "/api/history", "//history", "/%68istory"])
def test_what_comfyui_takes_for_a_number_is_one(path: str, query: str, right: bool) -> None:
    assert rules.numbers_are_numbers(f"{path}?{query}") is right
    assert rules.numbers_are_numbers(f"/view?{query}")


@given(st.integers(0, 3), st.sampled_from(["", "/", "/.", "/x/.."]), st.sampled_from(["", "/api"]))
def test_no_way_of_writing_it_opens_what_is_closed(times: int, before: str, api: str) -> None:
    path = f"{api}{before}/internal/logs"
    encoded = "/internal"
    for _ in range(times):
        encoded = "/" + "".join(quote(c, safe="") if c != "%" else "%25" for c in encoded[1:])
        encoded = encoded.replace("i", "%69", 1)
    assert not rules.user_may("GET", path)
    assert not rules.user_may("GET", f"{api}{before}{encoded}/logs")


def test_a_reading_that_decodes_nothing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "unquote", lambda text: text)
    with pytest.raises(AssertionError):
        test_no_way_of_writing_it_opens_what_is_closed()


@pytest.mark.parametrize("uri", ["", "x", "http://a/b", "/a#b", "/a b", "/a\\b", "/a\r\nX: y", "/é"])
def test_an_address_that_could_be_read_in_two_ways_is_malformed(uri: str) -> None:
    assert not rules.well_formed(uri)


def test_the_pages_list_is_the_rules() -> None:
    page = Path("docs/sign-in.md").read_text()
    for folder in rules.CLOSED:
        assert f"`/{folder}`" in page, folder
    for path in rules.UPLOADS | rules.OWN_JOBS:
        assert f"`{path}`" in page, path
    assert json.dumps(sorted(rules.READING)) == '["GET", "HEAD", "OPTIONS"]'
