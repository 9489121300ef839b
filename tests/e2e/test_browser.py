"""A browser opens the page through the public name, over TLS, and keeps its WebSocket while work goes on."""

from __future__ import annotations

import importlib.resources
import io
import json
import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, WebSocket, expect

from tests.lab.names import PUBLIC_NAME

from .browsing import WIDTHS, chromium, visit
from .running import REPORTS, Done, bare_environment, run
from .site import BIN, Lab

URL = f"https://{PUBLIC_NAME}/"


@pytest.fixture(scope="module")
def browser(lab: Lab, deployed: Done) -> Iterator[Browser]:
    with chromium(lab) as running:
        yield running


@pytest.fixture
def signed_in(browser: Browser, lab: Lab) -> Iterator[BrowserContext]:
    """A browser whose user has typed a token."""
    context = browser.new_context(viewport=WIDTHS["wide"])
    page = context.new_page()
    visit(page, URL)
    assert page.url == f"{URL}login?next=%2F"
    _fits(page, "sign-in")
    page.get_by_label("Token").fill(lab.secret("token"))
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(URL)
    page.close()
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
    seen = handshakes(page)
    answer = visit(page, f"http://{PUBLIC_NAME}/")
    assert (page.url, answer.status) == (URL, 200)
    expect(page.locator("#state")).to_have_text("open")
    expect(page.locator("#queue")).to_have_text("0")
    # Browsers offer the compression that ARR cannot pass; the gateway takes the offer away.
    assert "permessage-deflate" in seen[-1]["sent"]["sec-websocket-extensions"]
    assert "sec-websocket-extensions" not in seen[-1]["answered"]
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


HEALTHY = """
until [ "$(docker inspect --format '{{.State.Health.Status}}' comfyui-qwen)" = healthy ]; do sleep 1; done
"""
STARTED = f"docker start comfyui-qwen{HEALTHY}"
# ComfyUI serves the page of a package of its own; the simulator has one that a person can read.
OWN_PAGE = "/srv/own-page"
MOUNTED = f'services: {{comfyui-qwen: {{volumes: ["{OWN_PAGE}:/opt/comfyui/comfysim/web:ro"]}}}}'
COMPOSE = "docker compose --file /opt/comfystack/comfyui-qwen/compose.yml"


@pytest.fixture
def own_page(lab: Lab, deployed: Done) -> Iterator[None]:
    """ComfyUI's own page, of the version that the image has, in place of the simulator's."""
    static = Path(str(importlib.resources.files("comfyui_frontend_package"))) / "static"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        # Maps of the sources are for those who debug it.
        archive.add(static, ".", filter=lambda one: None if one.name.endswith(".map") else one)
    lab.guest("own-page-folder", f"mkdir -p {OWN_PAGE}; echo '{MOUNTED}' > {OWN_PAGE}.yml")
    unpack = ["tar", "--directory", OWN_PAGE, "--extract", "--no-same-owner", "--file", "-"]
    subprocess.run(lab.ssh(*unpack), input=packed.getvalue(), check=True)
    try:
        served = f"chmod -R a+rX {OWN_PAGE}; {COMPOSE} --file {OWN_PAGE}.yml up --detach{HEALTHY}"
        lab.guest("own-page-served", served)
        yield
    finally:
        lab.guest("own-page-gone", f"{COMPOSE} up --detach{HEALTHY}rm -r {OWN_PAGE} {OWN_PAGE}.yml")


def test_comfyuis_own_page_keeps_its_websocket(
    signed_in: BrowserContext, own_page: None, lab: Lab, tmp_path: Path
) -> None:
    page = signed_in.new_page()
    failures: list[str] = []
    frames: list[str | bytes] = []
    ended: list[str] = []
    page.on("pageerror", lambda error: failures.append(str(error)))

    def opened(socket: WebSocket) -> None:
        socket.on("framereceived", lambda frame: frames.append(frame))
        socket.on("close", lambda _: ended.append(socket.url))

    page.on("websocket", opened)
    visit(page, URL)
    # Of a load that was given up.
    ended.clear()
    expect(page.locator("canvas#graph-canvas")).to_be_visible(timeout=60_000)
    expect(page).to_have_title(re.compile("ComfyUI$"))
    _edit_a_photo(lab, tmp_path)
    # Playwright hands on what came meanwhile while it waits for something.
    expect(page.locator("canvas#graph-canvas")).to_be_visible()
    told = [json.loads(frame) for frame in frames if isinstance(frame, str)]
    queued = [
        one["data"]["status"]["exec_info"]["queue_remaining"] for one in told if one["type"] == "status"
    ]
    assert 1 in queued, "the page is told of jobs that others send"
    assert ended == [], "the WebSocket was cut"
    _fits(page, "own-page")
    assert failures == []


def test_people_get_a_page_while_comfyui_is_down_and_programs_get_json(
    signed_in: BrowserContext, lab: Lab
) -> None:
    page = signed_in.new_page()
    lab.guest("browser-comfyui-stopped", "docker stop --time 1 comfyui-qwen")
    try:
        answer = visit(page, URL)
        # 504 where the address of the stopped container is silent and not refused.
        assert answer.status in (502, 504)
        assert answer.headers["retry-after"] == "60"
        expect(page.locator("h1")).to_have_text("ComfyUI does not answer")
        _fits(page, "unavailable")
        # A script's request, as of ComfyUI's own page, says that it takes anything.
        said = page.evaluate("fetch('/system_stats').then((answer) => answer.json())")
        assert said["error"]["type"] == "unavailable"
    finally:
        lab.guest("browser-comfyui-started", STARTED)


def test_a_person_signs_in_works_with_the_page_and_signs_out(browser: Browser, lab: Lab) -> None:
    context = browser.new_context(viewport=WIDTHS["wide"])
    page = context.new_page()
    visit(page, URL)
    assert page.url == f"{URL}login?next=%2F"
    _fits(page, "sign-in")
    page.get_by_label("Token").fill("0" * 64)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_have_text("This token is not valid.")
    page.get_by_label("Token").fill(lab.secret("token"))
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#state")).to_have_text("open")
    assert page.url == URL
    assert page.evaluate("document.cookie") == "", "scripts cannot read the session"
    visit(page, f"{URL}login")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Token")).to_be_visible()
    visit(page, URL)
    assert page.url == f"{URL}login?next=%2F"
    context.close()


def refused_socket(page: Page) -> str:
    """What Chromium says of a WebSocket to the public name that the page opens."""
    told: list[str] = []
    protocol = page.context.new_cdp_session(page)
    protocol.send("Network.enable")
    protocol.on("Network.webSocketFrameError", lambda event: told.append(event["errorMessage"]))
    ended = page.evaluate(
        """(address) => new Promise((tell) => {
          const socket = new WebSocket(address);
          socket.onopen = () => tell('open');
          socket.onerror = () => tell('refused');
        })""",
        f"wss://{PUBLIC_NAME}/ws",
    )
    return " ".join([ended, *told])


def test_without_a_token_the_browser_is_asked_for_one_and_gets_no_websocket(browser: Browser) -> None:
    # The sign-in page itself lets no script connect; another page might.
    context = browser.new_context(bypass_csp=True)
    page = context.new_page()
    visit(page, URL)
    expect(page.get_by_label("Token")).to_be_visible()
    said = refused_socket(page)
    # That is how Chromium tells a 401.
    assert said.startswith("refused HTTP Authentication failed"), said
    context.close()


def test_the_page_of_another_site_opens_no_websocket(signed_in: BrowserContext) -> None:
    page = signed_in.new_page()
    page.goto("about:blank")
    said = refused_socket(page)
    assert re.match("refused.* 403", said), said
