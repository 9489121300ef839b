"""wsl_host and iis_gateway, run by the real Ansible: what they promise to the operator of a Windows host."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from tests.lab.windows_host.winsim.state import AppPool
from tests.unit.iis.machine import VARIABLES, healthy

from .machine import FORGE, SITE, USER, Played, Windows, new_windows, play
from .story import ROLES, SHOP, Story


class TestTheFirstRun:
    def test_the_guest_is_reached_and_the_public_name_is_served(self, story: Story) -> None:
        state = story.memory.read()
        (forward,) = state.portproxy
        assert (forward.listen_address, forward.listen_port, forward.connect_port) == (
            "127.0.0.1",
            8188,
            8188,
        )
        site = state.sites[SITE]
        assert [(b.protocol, b.port, b.hostname, b.use_sni) for b in site.bindings] == [
            ("http", 80, SITE, False),
            ("https", 443, SITE, True),
        ]
        assert site.bindings[1].certificate_hash == story.thumbprint
        assert story.thumbprint in state.certificates["WebHosting"]
        pool = state.app_pools[site.application_pool].attributes
        assert (pool["managedRuntimeVersion"], pool["startMode"]) == ("", "AlwaysRunning")
        assert story.machine.drive("c", "inetpub", "comfystack", SITE, "web.config").is_file()

    def test_the_server_has_the_settings_under_which_the_gateway_is_tested(self, story: Story) -> None:
        state = story.memory.read()
        assert state.server_config["system.webServer/proxy"]["minResponseBuffer"] == 0
        tested = healthy(8188)
        given = {section: dict(values) for section, values in state.server_config.items()}
        given["system.webServer/webSocket"].setdefault(
            "enabled", True
        )  # IIS's default, so it was not written
        assert given == tested.server_config
        assert sorted(state.allowed_server_variables) == sorted([*VARIABLES, "HTTP_X_SHOP"])

    def test_windows_is_told_to_refuse_outdated_tls_and_the_restart_is_left_to_its_owner(
        self, story: Story
    ) -> None:
        values = story.memory.read().registry
        for protocol in ("ssl 3.0", "tls 1.0", "tls 1.1"):
            key = rf"system\currentcontrolset\control\securityproviders\schannel\protocols\{protocol}\server"
            assert values[key] == {"Enabled": ["dword", 0], "DisabledByDefault": ["dword", 1]}
        assert "Windows refuses SSL 3.0, TLS 1.0, TLS 1.1 from its next restart on" in story.first.output
        assert story.memory.read().boots == 1

    def test_no_key_and_no_password_stay_behind(self, story: Story) -> None:
        assert [p for p in story.machine.drive().rglob("*") if p.suffix in (".pfx", ".p12", ".key")] == []
        assert "battery-staple" not in story.first.output

    def test_what_was_there_before_is_untouched(self, story: Story) -> None:
        state = story.memory.read()
        assert state.sites["shop"] == SHOP
        assert state.app_pools["shop"] == AppPool(attributes={"managedRuntimeVersion": "v4.0"})
        assert state.allowed_server_variables[0] == "HTTP_X_SHOP"
        assert state.firewall_rules["Shop"] == {"LocalPorts": "8443"}


# Our own passage, Ansible's, and a folder that is none of our business.
LEFT = ("comfystack.x1y2", "ansible-tmp-1700000000.0-1", "somebody-elses")


def temporary(machine: Windows) -> Path:
    """The temporary folder of the account that Ansible uses."""
    return machine.drive("c", "Users", USER, "AppData", "Local", "Temp")


@dataclass(frozen=True)
class Later:
    """Several copies of one machine, played on at once: each one's name, its memory before, its machine."""

    played: Played
    machines: dict[str, Windows]
    before: dict[str, dict[str, Any]]

    def untouched(self, name: str) -> bool:
        return self.machines[name].everything() == self.before[name]


def play_on(
    hosts: dict[str, tuple[Windows, dict[str, Any]]], arguments: tuple[str, ...] = ()
) -> Iterator[Later]:
    """All machines started afresh from their disks, one run of Ansible over them."""
    machines = {name: machine for name, (machine, _) in hosts.items()}
    with ExitStack() as stack:
        for machine in machines.values():
            stack.enter_context(machine.running())
        before = {name: machine.everything() for name, machine in machines.items()}
        inventory = {name: machine.as_host(**variables) for name, (machine, variables) in hosts.items()}
        folder = next(iter(machines.values())).folder.with_name("play")
        yield Later(play(folder, inventory, None, *arguments, tasks=ROLES), machines, before)


@pytest.fixture(scope="module")
def later(story: Story, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Later]:
    folder = tmp_path_factory.mktemp("later")
    same, wrong, renewed, interrupted, trial = (
        story.machine.copy(folder / name) for name in ("same", "wrong", "renewed", "interrupted", "trial")
    )
    for machine in (wrong, renewed):
        machine.issue_site_certificate(SITE, FORGE)
    for left in LEFT:
        (temporary(interrupted) / left).mkdir(parents=True)
        (temporary(interrupted) / left / "site.pfx").write_bytes(b"a key")
    yield from play_on(
        {
            "same": (same, {}),
            "wrong": (wrong, {"tls_certificate_pfx_password": "wrong-one"}),
            "renewed": (renewed, {}),
            "interrupted": (interrupted, {}),
            "trial": (trial, {"tls_certificate_mode": "selfsigned", "site_production": False}),
        }
    )


class TestLaterRuns:
    def test_what_an_interrupted_run_left_of_a_certificate_is_gone(self, later: Later) -> None:
        assert later.played.count("failed", "interrupted") == 0, later.played.about("interrupted")
        left = temporary(later.machines["interrupted"])
        full = {path.name for path in left.iterdir() if any(path.iterdir())}
        assert full == {"somebody-elses"}
        assert not list(left.glob("comfystack.*"))

    def test_after_a_restart_of_the_machine_nothing_is_left_to_change(self, later: Later) -> None:
        assert later.played.count("failed", "same") == 0, later.played.about("same")
        assert later.played.count("changed", "same") == 0, later.played.about("same")
        assert later.untouched("same")

    def test_a_trial_has_a_certificate_that_signs_itself_for_every_name(self, later: Later) -> None:
        assert later.played.count("failed", "trial") == 0, later.played.about("trial")
        machine = later.machines["trial"]
        pem = (machine.folder / "tls" / "self-signed.pem").read_bytes()
        certificate = x509.load_pem_x509_certificate(pem)
        certificate.verify_directly_issued_by(certificate)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == [SITE, FORGE]
        thumbprint = certificate.fingerprint(hashes.SHA1()).hex().upper()  # noqa: S303 - Windows' name for it
        sites = machine.memory().read().sites
        assert {sites[name].bindings[1].certificate_hash for name in (SITE, FORGE)} == {thumbprint}
        for secret in ("self-signed.key", "self-signed.pfx", "self-signed.password"):
            assert (machine.folder / "tls" / secret).stat().st_mode & 0o077 == 0, secret

    def test_a_pfx_that_cannot_be_opened_leaves_the_old_certificate_bound(self, later: Later) -> None:
        assert later.played.count("failed", "wrong") == 1
        assert "a file that its password does not open" in later.played.about("wrong")
        assert "wrong-one" not in later.played.output
        assert later.untouched("wrong")

    def test_a_renewed_certificate_is_bound_and_reported(self, later: Later, story: Story) -> None:
        assert later.played.count("failed", "renewed") == 0, later.played.about("renewed")
        bound = re.search(
            r"TASK \[.*IIS answers for the public name with its certificate[^]]*\].*\n(?:.*\n)*?changed: \[renewed\]",
            later.played.output,
        )
        assert bound, later.played.about("renewed")
        https = later.machines["renewed"].memory().read().sites[SITE].bindings[1]
        assert https.certificate_hash not in (None, story.thumbprint)
        assert https.certificate_hash in later.machines["renewed"].memory().read().certificates["WebHosting"]


@pytest.fixture(scope="module")
def foretold(story: Story, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Later]:
    folder = tmp_path_factory.mktemp("foretold")
    converged, changing = (story.machine.copy(folder / name) for name in ("converged", "changing"))
    bare, empty = (new_windows(folder / name) for name in ("bare", "empty"))
    changing.issue_site_certificate(SITE, FORGE)
    with empty.memory().edit() as state:
        # IIS is there, and none of our site.
        state.features = dict(story.memory.read().features)
        state.services = dict(story.memory.read().services)
        state.certificates = {"WebHosting": {}, "My": {}}
    yield from play_on(
        {
            "converged": (converged, {}),
            "changing": (changing, {"site_proxy_timeout_seconds": 7200}),
            "bare": (bare, {}),
            "empty": (empty, {}),
        },
        ("--check", "--diff"),
    )


class TestCheckMode:
    @pytest.mark.parametrize(
        ("host", "changes"),
        [
            ("converged", 0),
            # The timeout; the certificate's passage; the binding.
            ("changing", 3),
            # The guest's settings, its way in, folder, script, two tasks, a rule of the firewall; the Windows features,
            # the folder of installers, for each of two; the certificate's passage, the refusal of outdated TLS: the
            # sites cannot be foretold.
            ("bare", 12),
        ],
    )
    def test_it_foretells(self, foretold: Later, host: str, changes: int) -> None:
        assert foretold.played.count("failed", host) == 0, foretold.played.about(host)
        assert foretold.played.count("changed", host) == changes, foretold.played.about(host)

    def test_it_gets_through_where_iis_is_there_and_nothing_of_ours(self, foretold: Later) -> None:
        assert foretold.played.count("failed", "empty") == 0, foretold.played.about("empty")
        assert foretold.played.count("changed", "empty") > 5

    @pytest.mark.parametrize("host", ["converged", "changing", "bare", "empty"])
    def test_it_touches_nothing(self, foretold: Later, host: str) -> None:
        assert foretold.untouched(host)

    def test_it_shows_old_and_new(self, foretold: Later) -> None:
        shown = foretold.played.output.replace("'", "").replace('"', "")
        assert "-    system.webServer/proxy/@timeout: 01:00:00" in shown
        assert "+    system.webServer/proxy/@timeout: 02:00:00" in shown
