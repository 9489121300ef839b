"""What makes no sense is found before anything is changed, and the message says what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.windows_host.winsim.machine import ARR_DLL

from .machine import REPOSITORY, SITE, Played, Windows, new_windows, play

WSL = {
    "name": "WSL",
    "ansible.builtin.include_role": {"name": "wsl_host"},
    "when": "inventory_hostname in ['no-distribution', 'stopped']",
}
IIS = {"name": "IIS", "ansible.builtin.import_role": {"name": "iis_gateway"}}

# What is wrong -> the words that the operator reads.
SITES: dict[str, tuple[dict[str, Any], str]] = {
    "bad-name": ({"name": "-bad-.example", "backend_port": 8188}, "expected: a full host name"),
    "bad-port": ({"name": SITE, "backend_port": 70000}, "a port from 1 to 65535"),
    "no-port": ({"name": SITE}, "missing required arguments: backend_port"),
}
WEB_CONFIGS: dict[str, tuple[str, str, str]] = {
    "torn": ("</rewrite>", "", "not well-formed XML: mismatched tag"),
    "locked": (
        "<httpProtocol>",
        "<proxy enabled='true' /><httpProtocol>",
        "system.webServer/proxy is locked",
    ),
}
REFUSED: dict[str, str] = {
    **{name: said for name, (_, said) in SITES.items()},
    **{name: said for name, (_, _, said) in WEB_CONFIGS.items()},
    "expired": "next step: renew it",
    "other-name": f"expected: {SITE} among them",
    "long-query": "expected: from 1 to 16383",
    "no-arr": "expected: Application Request Routing 3.0 is installed",
    "no-public-name": "missing required arguments: site_public_name",
    "no-distribution": "found: the WSL distributions Ubuntu\nexpected: Debian",
    "stopped": "found: the WSL distribution Ubuntu, stopped",
}


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Windows]:
    """A machine without ARR, whose guest stands still."""
    machine = new_windows(tmp_path_factory.mktemp("broken") / "machine")
    with machine.memory().edit() as state:
        state.wsl_distributions["Ubuntu"]["state"] = "Stopped"
    machine.memory().path(ARR_DLL).unlink()
    with machine.running():
        yield machine


def inventory(windows: Windows, broken: Windows) -> dict[str, dict[str, Any]]:
    """Every mistake is a host of its own; all of them are one machine or the other."""
    windows.issue_site_certificate(SITE, days=-1, into="expired")
    windows.issue_site_certificate("other.example", into="other")
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
        "expired": windows.as_host(**windows.certificate_files("expired")),
        "other-name": windows.as_host(**windows.certificate_files("other")),
        "long-query": windows.as_host(iis_gateway_max_query_string_bytes=16_384),
        "no-public-name": nameless,
        "no-arr": broken.as_host(),
        "no-distribution": windows.as_host(wsl_host_distribution="Debian"),
        "stopped": broken.as_host(),
    }


@pytest.fixture(scope="module")
def refused(windows: Windows, broken: Windows) -> Played:
    machines = (windows, broken)
    before = [machine.everything() for machine in machines]
    # Whom the first role refuses never comes to the second.
    played = play(windows.folder / "refused", inventory(windows, broken), tasks=[WSL, IIS])
    assert [machine.everything() for machine in machines] == before
    return played


@pytest.mark.parametrize("mistake", REFUSED)
def test_a_mistake_is_named_before_anything_is_changed(refused: Played, mistake: str) -> None:
    assert refused.count("failed", mistake) == 1, refused.about(mistake)
    assert refused.count("changed", mistake) == 0
    # Ansible prints a result as JSON.
    assert json.dumps(REFUSED[mistake])[1:-1] in refused.about(mistake), refused.about(mistake)
