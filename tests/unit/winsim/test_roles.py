"""wsl_host and iis_gateway, run by the real Ansible: what they promise to the operator of a Windows host."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.windows_host.winsim.machine import ARR_DLL
from tests.lab.windows_host.winsim.state import AppPool, Binding, Site, Store

from .machine import SITE, Played, Windows, new_windows

WSL = {"name": "WSL", "ansible.builtin.import_role": {"name": "wsl_host"}}
IIS = {"name": "IIS", "ansible.builtin.import_role": {"name": "iis_gateway"}}


def memory(windows: Windows) -> Store:
    return Store(windows.folder / "state")


def everything(windows: Windows) -> dict[str, Any]:
    """State and files, but for the temporary ones of the connection."""
    files = {
        str(path): path.read_bytes()
        for path in windows.drive().rglob("*")
        if path.is_file() and "ansible-tmp" not in str(path)
    }
    return {"state": windows.state(), "files": files}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Windows]:
    """A machine with a site of its owner's, which is none of our business."""
    machine = new_windows(tmp_path_factory.mktemp("past") / "machine")
    with machine.running():
        pass  # the first start makes the machine
    with memory(machine).edit() as state:
        state.sites["shop"] = Site(7, r"C:\shop", "shop", bindings=[Binding("http", 80, "shop.example")])
        state.app_pools["shop"] = AppPool(attributes={"managedRuntimeVersion": "v4.0"})
        state.allowed_server_variables.append("HTTP_X_SHOP")
        state.firewall_rules["Shop"] = {"LocalPorts": "8443"}
    with machine.running():
        yield machine


@pytest.fixture(scope="module")
def first(host: Windows) -> Played:
    return host.play([WSL, IIS])


class TestOnAMachineWithAPast:
    """One machine, taken through a site's life in the order of these tests."""

    def test_the_first_run_makes_a_gateway(self, host: Windows, first: Played) -> None:
        assert first.exit_code == 0, first.output
        state = memory(host).read()
        (forward,) = state.portproxy
        assert (forward.listen_address, forward.listen_port, forward.connect_port) == (
            "127.0.0.1",
            8188,
            8188,
        )
        assert state.server_config["system.webServer/proxy"] == {
            "enabled": True,
            "includePortInXForwardedFor": False,
            "preserveHostHeader": True,
            "reverseRewriteHostInResponseHeaders": False,
            "timeout": "01:00:00",
        }
        site = state.sites[SITE]
        assert [(b.protocol, b.port, b.hostname, b.use_sni) for b in site.bindings] == [
            ("http", 80, SITE, False),
            ("https", 443, SITE, True),
        ]
        assert site.bindings[1].certificate_hash in state.certificates["WebHosting"]
        assert state.app_pools[site.application_pool].attributes["managedRuntimeVersion"] == ""
        assert state.app_pools[site.application_pool].attributes["startMode"] == "AlwaysRunning"
        assert host.drive("c", "inetpub", "comfystack", SITE, "web.config").is_file()

    def test_no_key_and_no_password_stay_behind(self, host: Windows, first: Played) -> None:
        assert [p for p in host.drive().rglob("*") if p.suffix in (".pfx", ".p12", ".key")] == []
        assert "battery-staple" not in first.output

    def test_what_was_there_before_is_untouched(self, host: Windows, first: Played) -> None:
        state = memory(host).read()
        assert state.sites["shop"] == Site(
            7, r"C:\shop", "shop", bindings=[Binding("http", 80, "shop.example")]
        )
        assert state.app_pools["shop"] == AppPool(attributes={"managedRuntimeVersion": "v4.0"})
        assert state.allowed_server_variables[0] == "HTTP_X_SHOP"
        assert state.firewall_rules["Shop"] == {"LocalPorts": "8443"}

    def test_after_a_restart_of_the_machine_a_second_run_changes_nothing(
        self, host: Windows, first: Played
    ) -> None:
        before = everything(host)
        with Windows(host.folder, host.authority).running() as restarted:
            second = restarted.play([WSL, IIS])
        assert second.exit_code == 0, second.output
        assert second.count("changed") == 0, second.output
        assert everything(host) == before

    def test_check_mode_foretells_a_renewed_certificate_and_touches_nothing(
        self, host: Windows, first: Played
    ) -> None:
        host.issue_site_certificate(SITE)
        before = everything(host)
        foretold = host.play([WSL, IIS], "--check", "--diff", iis_gateway_proxy_timeout_seconds=7200)
        assert foretold.exit_code == 0, foretold.output
        # The timeout, the certificate's passage, the binding.
        assert foretold.count("changed") == 3, foretold.output
        assert "+    system.webServer/proxy/@timeout: 02:00:00" in foretold.output.replace("'", "").replace(
            '"', ""
        )
        assert everything(host) == before

    def test_a_pfx_that_cannot_be_opened_leaves_the_old_certificate_bound(
        self, host: Windows, first: Played
    ) -> None:
        before = everything(host)
        failed = host.play([IIS], iis_gateway_certificate_password="wrong-one")  # noqa: S106
        assert failed.exit_code != 0
        assert "found: Windows could not take certificate" in failed.output
        assert "wrong-one" not in failed.output
        assert everything(host) == before

    def test_a_renewed_certificate_is_bound_and_reported(self, host: Windows, first: Played) -> None:
        thumbprint = host.issue_site_certificate(SITE)
        renewed = host.play([IIS])
        assert renewed.exit_code == 0, renewed.output
        assert "IIS answers for the public name with and without TLS" in renewed.output
        assert memory(host).read().sites[SITE].bindings[1].certificate_hash == thumbprint


class TestBadInput:
    """Found before anything is changed."""

    @pytest.fixture
    def refused(self, windows: Windows) -> Any:
        """Plays, expects a failure, and sees that nothing was changed by it."""

        def play(task: dict[str, Any], **variables: Any) -> str:
            before = windows.state()
            played = windows.play([task], **variables)
            assert played.exit_code != 0, played.output
            assert played.count("changed") == 0
            assert windows.state() == before
            return played.output

        return play

    def test_without_arr_nothing_is_begun(self, windows: Windows, refused: Any) -> None:
        dll = memory(windows).path(ARR_DLL)
        content = dll.read_bytes()
        dll.unlink()
        try:
            assert "expected: Application Request Routing 3.0 is installed" in refused(IIS)
        finally:
            dll.write_bytes(content)

    @pytest.mark.parametrize(
        ("names", "days", "said"),
        [
            ([SITE], -1, "next step: renew it"),
            (["other.example"], 30, f"expected: {SITE} among them"),
        ],
        ids=["expired", "another name"],
    )
    def test_a_certificate_that_browsers_would_refuse(
        self, windows: Windows, refused: Any, names: list[str], days: int, said: str
    ) -> None:
        windows.issue_site_certificate(*names, days=days)
        try:
            assert said in refused(IIS)
        finally:
            windows.issue_site_certificate(SITE)

    @pytest.mark.parametrize(
        ("site", "said"),
        [
            ({"name": "-bad-.example", "backend_port": 8188}, "expected: a full host name"),
            ({"name": SITE, "backend_port": 70000}, "a port from 1 to 65535"),
            ({"name": SITE}, "missing required arguments: backend_port"),
        ],
        ids=["name", "port", "no port"],
    )
    def test_a_site_that_makes_no_sense(self, refused: Any, site: dict[str, Any], said: str) -> None:
        assert said in refused(IIS, iis_gateway_sites=[site])

    def test_a_distribution_that_is_not_there(self, refused: Any) -> None:
        output = refused(WSL, wsl_host_distribution="Debian")
        assert "found: the WSL distributions Ubuntu" in output
        assert "expected: Debian" in output

    def test_a_distribution_that_stands_still(self, windows: Windows, refused: Any) -> None:
        with memory(windows).edit() as state:
            state.wsl_distributions["Ubuntu"]["state"] = "Stopped"
        assert "found: the WSL distribution Ubuntu, stopped" in refused(WSL)


def test_on_a_bare_machine_check_mode_says_what_it_cannot_foretell(windows: Windows, tmp_path: Path) -> None:
    before = json.dumps(windows.state())
    foretold = windows.play([IIS], "--check")
    assert foretold.exit_code == 0, foretold.output
    assert foretold.count("changed") == 1
    assert json.dumps(windows.state()) == before
