"""A real Chromium in front of the deployed site: it resolves the public name to the lab, and checks its certificate."""

from __future__ import annotations

import base64
import hashlib
import shutil
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import Browser, Error, Page, Response, ViewportSize, sync_playwright

from tests.lab.names import PUBLIC_NAME

from .site import Lab

# As packages of Debian, of Google and of Ubuntu call it.
PROGRAMS = ("chromium", "google-chrome", "chromium-browser")
NETWORK_CHANGED = "ERR_NETWORK_CHANGED"
# The page that Chromium then shows in place of the one that was asked for may come when the next is under way.
ITS_PAGE = 'interrupted by another navigation to "chrome-error://'
# A desktop and a telephone.
WIDTHS: dict[str, ViewportSize] = {
    "wide": {"width": 1280, "height": 800},
    "narrow": {"width": 390, "height": 844},
}


def trusted_key(address: str, port: int, ca_file: str) -> str:
    """The public key of the site's certificate, after its chain and its name were checked, as Chromium wants it."""
    context = ssl.create_default_context(cafile=ca_file)
    with (
        socket.create_connection((address, port), timeout=30) as raw,
        context.wrap_socket(raw, server_hostname=PUBLIC_NAME) as secured,
    ):
        der = secured.getpeercert(binary_form=True)
    assert der is not None
    key = x509.load_der_x509_certificate(der).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(spki).digest()).decode()


@contextmanager
def chromium(lab: Lab) -> Iterator[Browser]:
    """Chromium without a window. Of certificates that no public authority signed it takes the site's own alone."""
    access = lab.access
    address, _, port = access["connect_to"][PUBLIC_NAME].rpartition(":")
    plain = access["deployed"]["http_port"]
    program = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
    assert program is not None, f"none of {', '.join(PROGRAMS)} is installed: make test-tools brings it"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program,
            args=[
                # As root, in a container, there is no other way; it opens nothing but the lab.
                "--no-sandbox",
                # The lab is at a loopback address, which Chromium by itself lets no page of elsewhere reach: a real
                # site is not, and what is asked here is whether the gateway refuses.
                "--disable-features=LocalNetworkAccessChecks,LocalNetworkAccessChecksWebSockets",
                f"--host-resolver-rules=MAP {PUBLIC_NAME}:443 {address}:{port}, "
                f"MAP {PUBLIC_NAME}:80 {address}:{plain}",
                f"--ignore-certificate-errors-spki-list={trusted_key(address, int(port), access['ca_file'])}",
            ],
        )
        try:
            yield browser
        finally:
            browser.close()


def visit(page: Page, url: str) -> Response:
    """Opens an address. Chromium gives up what it is at when the machine's network changes: then once more.

    A lab that is raised meanwhile, beside this one, is such a change.
    """
    lost: list[str] = []
    page.on("requestfailed", lambda request: lost.append(str(request.failure)))
    for _ in range(20):
        lost.clear()
        try:
            answer = page.goto(url, wait_until="networkidle")
        except Error as error:
            if not any(text in str(error) for text in (NETWORK_CHANGED, ITS_PAGE)):
                raise
            continue
        if not any(NETWORK_CHANGED in one for one in lost):
            assert answer is not None
            return answer
    raise AssertionError(f"{url} could not be loaded: the network of this machine changes all the time")
