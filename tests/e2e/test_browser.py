"""A browser opens the page through the public name, over TLS, and keeps its WebSocket while work goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.lab.names import PUBLIC_NAME

from .browsing import WIDTHS, chromium
from .running import REPORTS, Done, bare_environment, run
from .site import BIN, Lab

URL = f"https://{PUBLIC_NAME}/"


@pytest.fixture(scope="module")
def browser(lab: Lab, deployed: Done) -> Iterator[Browser]:
    with chromium(lab) as running:
        yield running


@pytest.fixture
def signed_in(browser: Browser, lab: Lab) -> Iterator[BrowserContext]:
    """A browser with a token."""
    headers = {"Authorization": f"Bearer {lab.secret('token')}"}
    context = browser.new_context(extra_http_headers=headers, viewport=WIDTHS["wide"])
    yield context
    context.close()


def handshakes(page: Page) -> list[dict[str, dict[str, str]]]:
    """The WebSocket handshakes of a page, as they come: what was sent, and what was answered."""
    seen: list[dict[str, dict[str, str]]] = []
    protocol = page.context.new_cdp_session(page)
    protocol.send("Network.enable")

    def sent(event: dict[str, Any]) -> None:
        seen.append({"sent": {name.lower(): value for name, value in event["request"]["headers"].items()}})

    def answered(event: dict[str, Any]) -> None:
        headers = event["response"]["headers"]
        seen[-1]["answered"] = {name.lower(): value for name, value in headers.items()}

    protocol.on("Network.webSocketWillSendHandshakeRequest", sent)
    protocol.on("Network.webSocketHandshakeResponseReceived", answered)
    return seen


def test_a_page_is_opened_over_plain_http_and_lives_over_tls(
    signed_in: BrowserContext, lab: Lab, tmp_path: Path
) -> None:
    page = signed_in.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(f"{request.url}: {request.failure}"))
    seen = handshakes(page)
    answer = page.goto(f"http://{PUBLIC_NAME}/")
    assert answer is not None
    assert (page.url, answer.status) == (URL, 200)
    expect(page.locator("#state")).to_have_text("open")
    expect(page.locator("#queue")).to_have_text("0")
    # Browsers offer the compression that ARR cannot pass; the gateway takes the offer away.
    assert "permessage-deflate" in seen[0]["sent"]["sec-websocket-extensions"]
    assert "sec-websocket-extensions" not in seen[0]["answered"]
    _edit_a_photo(lab, tmp_path)
    log = page.locator("#log")
    expect(log).to_contain_text('"queue_remaining": 1')
    expect(page.locator("#queue")).to_have_text("0")
    expect(page.locator("#state")).to_have_text("open")
    _fits(page, "page")
    assert complaints == []


def _fits(page: Page, title: str) -> None:
    """Nothing is cut off on a desktop or a telephone; what it looks like is kept."""
    for name, size in WIDTHS.items():
        page.set_viewport_size(size)
        page.screenshot(path=REPORTS / f"{title}-{name}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], f"{name}: cut off"


def _edit_a_photo(lab: Lab, folder: Path) -> None:
    photo = folder / "photo.png"
    Image.new("RGB", (64, 64), "teal").save(photo)
    command = [str(BIN / "comfystack"), "edit", str(photo), "--prompt", "make it winter"]
    command += ["--out", str(folder / "edited.png"), "--access", str(lab.access_file)]
    run("browser-edit", command, bare_environment(), 120).ended_well()


STARTED = """
docker start comfyui-qwen
until [ "$(docker inspect --format '{{.State.Health.Status}}' comfyui-qwen)" = healthy ]; do sleep 1; done
"""


def test_people_get_a_page_while_comfyui_is_down_and_programs_get_json(
    signed_in: BrowserContext, lab: Lab
) -> None:
    page = signed_in.new_page()
    lab.guest("browser-comfyui-stopped", "docker stop --time 1 comfyui-qwen")
    try:
        answer = page.goto(URL)
        assert answer is not None
        assert (answer.status, answer.headers["retry-after"]) == (502, "60")
        expect(page.locator("h1")).to_have_text("ComfyUI does not answer")
        _fits(page, "unavailable")
        # A script's request, as of ComfyUI's own page, says that it takes anything.
        said = page.evaluate("fetch('/queue').then((answer) => answer.json())")
        assert said["error"]["type"] == "unavailable"
    finally:
        lab.guest("browser-comfyui-started", STARTED)


def test_without_a_token_the_browser_gets_no_page_and_no_websocket(browser: Browser) -> None:
    context = browser.new_context()
    page = context.new_page()
    answer = page.goto(URL)
    assert answer is not None
    assert answer.status == 401
    ended = page.evaluate(
        """() => new Promise((tell) => {
          const socket = new WebSocket(`wss://${location.host}/ws`);
          socket.onopen = () => tell('open');
          socket.onerror = () => tell('refused');
        })"""
    )
    assert ended == "refused"
    context.close()


def test_the_page_of_another_site_opens_no_websocket(signed_in: BrowserContext) -> None:
    page = signed_in.new_page()
    page.goto("about:blank")
    ended = page.evaluate(
        """(address) => new Promise((tell) => {
          const socket = new WebSocket(address);
          socket.onopen = () => tell('open');
          socket.onerror = () => tell('refused');
        })""",
        f"wss://{PUBLIC_NAME}/ws",
    )
    assert ended == "refused"
