"""A Windows that somebody else has used before the first deployment: what was theirs is theirs, to the last byte."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests.lab.windows_host.winsim.state import AppPool, Binding, PortProxy, Site, Store

from .machine import FORGE, SITE, Windows, new_windows, play
from .story import ROLES, WSLCONFIG, wslconfig

WIKI = "wiki.example.org"
FILES = {r"C:\wiki\index.html": b"<h1>wiki</h1>\r\n", r"C:\wiki\web.config": b"<configuration />"}

THEIR_IIS = {"name": "Their IIS", "ansible.windows.win_feature": {"name": ["Web-Server"], "state": "present"}}


def _used_by_somebody(machine: Windows) -> None:
    """Two sites, one with a certificate of their own, a rule, a port, a task, a variable, pages, settings of WSL."""
    certificate, key = machine.authority.issue(x509.DNSName(WIKI), days=30)
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    memory: Store = machine.memory()
    with memory.edit() as state:
        state.certificates["My"] = {
            "F0" * 20: {
                "subject": f"CN={WIKI}",
                "not_after": "2099-01-01T00:00:00Z",
                "certificate_pem": pem,
                "key_pem": key_pem,
            }
        }
        secure = Binding(
            "https", 443, WIKI, use_sni=True, certificate_hash="F0" * 20, certificate_store_name="My"
        )
        state.sites["wiki"] = Site(7, r"C:\wiki", "wiki", bindings=[Binding("http", 80, WIKI), secure])
        state.sites["shop"] = Site(8, r"C:\wiki", "wiki", bindings=[Binding("http", 8081)])
        state.app_pools["wiki"] = AppPool(attributes={"managedRuntimeVersion": "v4.0"})
        state.allowed_server_variables.append("HTTP_X_WIKI")
        state.firewall_rules["Wiki"] = {"LocalPorts": "8080"}
        state.portproxy.append(PortProxy("127.0.0.1", 9000, "127.0.0.9", 9000))
    for path, content in FILES.items():
        memory.path(path).parent.mkdir(parents=True, exist_ok=True)
        memory.path(path).write_bytes(content)
    wslconfig(memory).parent.mkdir(parents=True, exist_ok=True)
    wslconfig(memory).write_bytes(WSLCONFIG.encode())


def lost(before: Any, after: Any, *place: str) -> Iterator[str]:
    """Where `after` lacks something of `before`, or has another value for it. What is more is nobody's business."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            yield from lost(value, after.get(key), *place, key)
    elif isinstance(before, list) and isinstance(after, list):
        yield from (f"{' '.join(place)}: {one}" for one in before if one not in after)
    elif before != after:
        yield f"{' '.join(place)}: was {before!r}, is {after!r}"


def test_the_first_deployment_leaves_all_of_it_exactly_as_it_was(tmp_path: Path) -> None:
    machine = new_windows(tmp_path / "machine")
    machine.issue_site_certificate(SITE, FORGE)
    with machine.running():
        served = play(tmp_path / "their-iis", {"win": machine.as_host()}, tasks=[THEIR_IIS])
        assert served.exit_code == 0, served.output
        _used_by_somebody(machine)
        before = machine.everything()
        assert before["state"]["wsl_distributions"], "a distribution is adopted"
        done = play(tmp_path / "first", {"win": machine.as_host()}, tasks=ROLES)
        assert done.exit_code == 0, done.output
    after = machine.everything()
    assert SITE in after["state"]["sites"], "something was deployed"
    # Merged key by key, which test_wsl_host.py looks at.
    own = str(wslconfig(machine.memory()).relative_to(machine.folder))
    assert before["files"].pop(own) != after["files"][own]
    assert list(lost(before, after)) == []


@pytest.mark.parametrize(
    ("after", "found"),
    [
        ({"sites": {"a": {"bindings": [{"port": 80}]}, "ours": {}}, "rules": {"x": True}}, []),
        ({"sites": {"a": {"bindings": [{"port": 80}]}}, "rules": {}}, ["rules x: was True, is None"]),
        ({"sites": {"a": {"bindings": []}}, "rules": {"x": True}}, ["sites a bindings: {'port': 80}"]),
    ],
)
def test_a_loss_would_be_seen(after: dict[str, Any], found: list[str]) -> None:
    before = {"sites": {"a": {"bindings": [{"port": 80}]}}, "rules": {"x": True}}
    assert list(lost(before, after)) == found
