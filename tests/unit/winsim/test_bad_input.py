"""What makes no sense is found before anything is changed, and the message says what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from tests.lab.windows_host.winsim.machine import ARR_DLL

from .machine import PFX_PASSWORD, REPOSITORY, SITE, Played, Windows, new_windows, play

WSL = {
    "name": "WSL",
    "ansible.builtin.include_role": {"name": "wsl_host"},
    "when": "inventory_hostname in ['no-distribution', 'stopped']",
}
TLS = {
    "name": "TLS",
    "ansible.builtin.include_role": {"name": "tls_certificate"},
    "when": "tls_certificate_mistake is defined",
}
IIS = {"name": "IIS", "ansible.builtin.import_role": {"name": "iis_gateway"}}

# What is wrong -> the words that the operator reads.
SITES: dict[str, tuple[dict[str, Any], str]] = {
    "bad-name": ({"name": "-bad-.example", "backend_port": 8188}, "expected: a full host name"),
    "bad-port": ({"name": SITE, "backend_port": 70000}, "a port from 1 to 65535"),
    "no-name": ({"backend_port": 8188}, "missing required arguments: name"),
}
WEB_CONFIGS: dict[str, tuple[str, str, str]] = {
    "torn": ("</rewrite>", "", "not well-formed XML: mismatched tag"),
    "locked": (
        "<httpProtocol>",
        "<proxy enabled='true' /><httpProtocol>",
        "system.webServer/proxy is locked",
    ),
    "compressed": (
        '<set name="HTTP_SEC_WEBSOCKET_EXTENSIONS" value="" />',
        "",
        "does not set HTTP_SEC_WEBSOCKET_EXTENSIONS: ARR 3 drops a WebSocket",
    ),
}
ACME = {
    "tls_certificate_mode": "acme",
    "tls_certificate_acme_email": "a@b.example",
    "tls_certificate_acme_accept_terms": True,
}
CERTIFICATES: dict[str, tuple[dict[str, Any], str]] = {
    "expired": ({"tls_certificate_pfx": "expired.pfx"}, "next step: renew it"),
    "other-name": ({"tls_certificate_pfx": "other.pfx"}, f"expected: one that is in date and for {SITE}"),
    "no-file": (
        {"tls_certificate_pfx": "none.pfx"},
        "none.pfx: no readable file (No such file or directory)",
    ),
    "no-key": ({"tls_certificate_pfx": "no-key.pfx"}, "no-key.pfx: certificates without a private key"),
    "wrong-password": (
        {"tls_certificate_pfx_password": PFX_PASSWORD.upper()},
        "a file that its password does not open",
    ),
    "nothing-stored": ({"tls_certificate_mode": "store"}, f"that\nserves {SITE}: there is none at all"),
    "no-such-thumbprint": (
        {"tls_certificate_mode": "store", "tls_certificate_thumbprint": "ab:cd"},
        "the certificate ab:cd that",
    ),
    "trial-in-production": (
        {"tls_certificate_mode": "selfsigned"},
        "found: tls_certificate_mode: selfsigned, and site_production: true",
    ),
    "acme-nobody": (
        {"tls_certificate_mode": "acme", "tls_certificate_acme_accept_terms": True},
        "found: tls_certificate_acme_email: (empty)",
    ),
    "acme-terms": (
        {"tls_certificate_mode": "acme", "tls_certificate_acme_email": "a@b.example"},
        "next step: read the terms of service",
    ),
    "acme-no-checksum": (
        {**ACME, "tls_certificate_simple_acme": {"source": "https://example.org/a.zip", "sha256": ""}},
        "write there what `curl -fsSL https://example.org/a.zip | sha256sum` prints",
    ),
    "acme-no-authority": (
        {**ACME, "tls_certificate_acme_ca_file": "none.pem"},
        "none.pem:\nno readable file (No such file or directory)",
    ),
    "old-setting": ({"iis_gateway_certificate_pfx": "x"}, "next step: call it tls_certificate_pfx"),
}
REFUSED: dict[str, str] = {
    **{name: said for name, (_, said) in SITES.items()},
    **{name: said for name, (_, _, said) in WEB_CONFIGS.items()},
    **{name: said for name, (_, said) in CERTIFICATES.items()},
    "long-query": "expected: from 1 to 16383",
    "too-much": "expected: from 1 to 4294967295",
    "no-arr": "found: iis_gateway_arr.sha256 is empty",
    "no-public-name": "missing required arguments: site_public_name",
    "no-distribution": "found: the WSL distributions Ubuntu\nof operator\nexpected: Debian",
    "stopped": "found: the WSL distribution Ubuntu, stopped",
}


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Windows]:
    """A machine without ARR, whose guest stands still."""
    machine = new_windows(tmp_path_factory.mktemp("broken") / "machine")
    with machine.memory().edit() as state:
        state.wsl_distributions["Ubuntu"]["state"] = "Stopped"
    machine.memory().path(ARR_DLL).unlink(missing_ok=True)
    with machine.running():
        yield machine


def unrecorded(windows: Windows, name: str) -> dict[str, str]:
    return {**windows.installer(name), "sha256": ""}


def as_mistaken(windows: Windows, settings: dict[str, Any]) -> dict[str, Any]:
    """The machine with wrong settings of the certificate; files are meant in its folder."""
    there = {
        name: str(windows.folder / value) if str(value).endswith(".pfx") else value
        for name, value in settings.items()
    }
    return windows.as_host(tls_certificate_mistake=True, **there)


def inventory(windows: Windows, broken: Windows) -> dict[str, dict[str, Any]]:
    """Every mistake is a host of its own; all of them are one machine or the other."""
    windows.issue_site_certificate(SITE, days=-1, into="expired")
    windows.issue_site_certificate("other.example", into="other")
    without_key = pkcs12.serialize_key_and_certificates(
        None,
        None,
        None,
        [windows.authority.certificate],
        serialization.BestAvailableEncryption(PFX_PASSWORD.encode()),
    )
    (windows.folder / "no-key.pfx").write_bytes(without_key)
    text = (REPOSITORY / "iis" / "web.config.j2").read_text()
    hosts = {name: windows.as_host(iis_gateway_sites=[site]) for name, (site, _) in SITES.items()}
    for name, (find, replace, _) in WEB_CONFIGS.items():
        assert find in text
        (windows.folder / f"{name}.j2").write_text(text.replace(find, replace))
        hosts[name] = windows.as_host(iis_gateway_web_config_template=str(windows.folder / f"{name}.j2"))
    nameless = windows.as_host()
    del nameless["site_public_name"]
    return {
        **hosts,
        **{name: as_mistaken(windows, settings) for name, (settings, _) in CERTIFICATES.items()},
        "long-query": windows.as_host(iis_gateway_max_query_string_bytes=16_384),
        "too-much": windows.as_host(site_max_upload_bytes=4294967296),
        "no-public-name": nameless,
        "no-arr": broken.as_host(iis_gateway_arr=unrecorded(windows, "requestRouter_amd64.msi")),
        "no-distribution": windows.as_host(wsl_host_distribution="Debian"),
        "stopped": broken.as_host(),
    }


@pytest.fixture(scope="module")
def refused(windows: Windows, broken: Windows) -> Played:
    machines = (windows, broken)
    before = [machine.everything() for machine in machines]
    # Whom the first role refuses never comes to the second.
    played = play(windows.folder / "refused", inventory(windows, broken), tasks=[WSL, TLS, IIS])
    assert [machine.everything() for machine in machines] == before
    return played


@pytest.mark.parametrize("mistake", REFUSED)
def test_a_mistake_is_named_before_anything_is_changed(refused: Played, mistake: str) -> None:
    assert refused.count("failed", mistake) == 1, refused.about(mistake)
    assert refused.count("changed", mistake) == 0
    # Ansible prints a result as JSON.
    assert json.dumps(REFUSED[mistake])[1:-1] in refused.about(mistake), refused.about(mistake)
