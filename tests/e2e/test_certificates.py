"""The lab's names have certificates of a real authority, which renews them while work goes on (Windows: simulated)."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509

from tests.lab.names import FORGE_NAMES, PUBLIC_NAME

from .running import Done
from .site import Lab

WACS = r"C:\Program Files\simple-acme\wacs.exe"
NAMES = (PUBLIC_NAME, *FORGE_NAMES)

pytestmark = pytest.mark.usefixtures("deployed")


def served(lab: Lab, name: str) -> x509.Certificate:
    """The certificate that the name is served with; it and its chain are checked as a browser does."""
    host, _, port = lab.access["connect_to"][PUBLIC_NAME].rpartition(":")
    context = ssl.create_default_context(cafile=lab.access["ca_file"])
    with (
        socket.create_connection((host, int(port)), timeout=30) as raw,
        context.wrap_socket(raw, server_hostname=name) as secured,
    ):
        return x509.load_der_x509_certificate(secured.getpeercert(binary_form=True) or b"")


def wacs(lab: Lab, title: str, *words: str) -> Done:
    """simple-acme, as somebody types it on Windows."""
    server = ["--baseuri", "https://acme:14000/dir"]
    return lab.windows(title, "ansible.windows.win_command", argv=[WACS, *words, *server])


@pytest.mark.parametrize("name", NAMES)
def test_each_name_has_one_of_its_own_from_the_authority(lab: Lab, name: str) -> None:
    certificate = served(lab, name)
    assert "Pebble Intermediate CA" in certificate.issuer.rfc4514_string()
    alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert alternative.get_values_for_type(x509.DNSName) == [name]


async def _renewed_under(lab: Lab) -> None:
    """A WebSocket is opened, everything is renewed, and the same WebSocket goes on."""
    host, _, port = lab.access["connect_to"][PUBLIC_NAME].rpartition(":")
    context = ssl.create_default_context(cafile=lab.access["ca_file"])
    token = Path(lab.access["token_file"]).read_text().strip()
    headers = {"Authorization": f"Bearer {token}", "Host": PUBLIC_NAME}
    before = {name: served(lab, name) for name in NAMES}
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=300)) as session,
        session.ws_connect(
            f"https://{host}:{port}/ws?clientId=renewal",
            headers=headers,
            ssl=context,
            server_hostname=PUBLIC_NAME,
        ) as socket_,
    ):
        assert (await socket_.receive_json(timeout=60))["type"] == "status"
        await asyncio.to_thread(wacs, lab, "renewal-forced", "--renew", "--force")
        after = {name: await asyncio.to_thread(served, lab, name) for name in NAMES}
        assert not [name for name in NAMES if after[name] == before[name]], "still the certificate of before"
        # ComfyUI answers a client's first message, if it is this one.
        await socket_.send_str(json.dumps({"type": "feature_flags", "data": {}}))
        assert (await socket_.receive_json(timeout=60))["type"] == "feature_flags"


def test_a_forced_renewal_swaps_the_certificates_while_a_websocket_stays_open(lab: Lab) -> None:
    asyncio.run(_renewed_under(lab))


def test_a_renewal_is_no_change_for_the_next_deployment(lab: Lab) -> None:
    again = lab.play("deploy-after-renewal", "--limit", "windows-host").ended_well()
    assert again.changed()["windows-host"] == 0, again


def test_an_authority_that_refuses_is_told_and_everything_goes_on(lab: Lab) -> None:
    """A name that leads nowhere: the real authority finds nobody to ask, and says so."""
    before = {name: served(lab, name) for name in NAMES}
    sites = [{"name": name, "backend_port": 8188} for name in (PUBLIC_NAME,)]
    sites += [{"name": name} for name in (*FORGE_NAMES, "nowhere.comfystack.test")]
    extra = json.dumps({"site_public_sites": sites})
    refused = lab.play("name-that-leads-nowhere", "--limit", "windows-host", "-e", extra)
    assert refused.code != 0, refused
    words = (
        "found: no certificate for nowhere.comfystack.test from https://acme:14000/dir",
        "urn:ietf:params:acme:error:",
        "What was bound before stays bound",
    )
    assert not [word for word in words if word not in refused.output], refused
    assert {name: served(lab, name) for name in NAMES} == before
    lab.windows("nowhere-removed", "microsoft.iis.website", name="nowhere.comfystack.test", state="absent")
    lab.windows("nowhere-pool", "microsoft.iis.web_app_pool", name="nowhere.comfystack.test", state="absent")
    # The configuration without that site is kept first, as after every change by hand.
    lab.play("after-the-refusal", "--limit", "windows-host").ended_well()
    again = lab.play("after-the-refusal-again", "--limit", "windows-host").ended_well()
    assert again.changed()["windows-host"] == 0, again
