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
from playwright.sync_api import Browser, ViewportSize, sync_playwright

from tests.lab.names import PUBLIC_NAME

from .site import Lab

# As packages of Debian, of Google and of Ubuntu call it.
PROGRAMS = ("chromium", "google-chrome", "chromium-browser")
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
                f"--host-resolver-rules=MAP {PUBLIC_NAME}:443 {address}:{port}, "
                f"MAP {PUBLIC_NAME}:80 {address}:{plain}",
                f"--ignore-certificate-errors-spki-list={trusted_key(address, int(port), access['ca_file'])}",
            ],
        )
        try:
            yield browser
        finally:
            browser.close()
