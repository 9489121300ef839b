"""IIS as the roles left it, read with Ansible's own modules in check mode: nothing here changes Windows."""

from __future__ import annotations

from typing import Any

from testinfra.host import Host

from .conftest import Access


def run(windows: Host, module: str, **arguments: Any) -> dict[str, Any]:
    """Result of one Ansible module, run in check mode."""
    words = " ".join(f"{name}='{value}'" for name, value in arguments.items())
    found: dict[str, Any] = windows.ansible(module, words)
    return found


def test_the_site_of_the_public_name_is_started(windows: Host, access: Access) -> None:
    sites = run(windows, "microsoft.iis.website_info", name=access.host)["site"]
    assert [site["state"].lower() for site in sites] == ["started"], sites


def test_https_is_bound_with_sni_to_a_certificate(windows: Host, access: Access) -> None:
    (site,) = run(windows, "microsoft.iis.website_info", name=access.host)["site"]
    (binding,) = [b for b in site["bindings"] if b["protocol"] == "https" and b["hostname"] == access.host]
    assert binding["use_sni"]
    assert binding["certificate_hash"]


def test_the_web_service_starts_with_windows(windows: Host) -> None:
    (service,) = run(windows, "ansible.windows.win_service_info", name="W3SVC")["services"]
    assert (service["state"], service["start_mode"]) == ("started", "auto")
