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


def test_https_is_bound_with_sni_to_a_certificate_for_each_name(windows: Host, access: Access) -> None:
    for name in access.places:
        (site,) = run(windows, "microsoft.iis.website_info", name=name)["site"]
        found = [b for b in site["bindings"] if b["protocol"] == "https" and b["hostname"] == name]
        assert [(b["use_sni"], bool(b["certificate_hash"])) for b in found] == [(True, True)], (name, found)


def test_the_web_service_starts_with_windows(windows: Host) -> None:
    (service,) = run(windows, "ansible.windows.win_service_info", name="W3SVC")["services"]
    assert (service["state"], service["start_mode"]) == ("started", "auto")


def test_the_pool_of_the_public_name_is_always_there(windows: Host, access: Access) -> None:
    """What no visitor could tell but by waiting: docs/gateway.md has the table."""
    (site,) = run(windows, "microsoft.iis.website_info", name=access.host)["site"]
    pools = run(windows, "microsoft.iis.web_app_pool_info", name=site["application_pool"])["app_pools"]
    (pool,) = (one["attributes"] for one in pools)
    assert (pool["managedRuntimeVersion"], pool["startMode"]) == ("", "AlwaysRunning")
    assert _none(pool["processModel"]["idleTimeout"])
    assert _none(pool["recycling"]["periodicRestart"]["time"])


def _none(span: Any) -> bool:
    """Whether a TimeSpan is 0, as Ansible hands it on: its text, or the object that PowerShell makes JSON of."""
    return not any(span.values()) if isinstance(span, dict) else not str(span).strip("0:.")
