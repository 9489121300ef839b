"""The models of the modules keep the sharp edges of the real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.lab.windows_host.winsim.endpoint import install_users
from tests.lab.windows_host.winsim.modules import run_module
from tests.lab.windows_host.winsim.state import Store

from .machine import PFX_PASSWORD, new_windows


def run(store: Store, module: str, /, check: bool = False, **arguments: Any) -> dict[str, Any]:
    return run_module(store, "operator", module, {**arguments, "_ansible_check_mode": check})


def install_iis(store: Store) -> None:
    features = ["Web-Server", "Web-WebSockets", "Web-Scripting-Tools"]
    assert run(store, "ansible.windows.win_feature", name=features)["changed"]


@pytest.fixture
def iis(store: Store) -> Store:
    install_iis(store)
    return store


@pytest.fixture
def certificate(iis: Store, tmp_path: Path) -> str:
    """A real PFX on the machine's drive; its thumbprint."""
    machine = new_windows(tmp_path / "made")
    thumbprint = machine.issue_site_certificate("a.example")
    (iis.root / "drives" / "c" / "site.pfx").write_bytes((machine.folder / "site.pfx").read_bytes())
    (iis.root / "drives" / "c" / "site.pem").write_bytes((machine.folder / "site.pem").read_bytes())
    return thumbprint


def import_pfx(store: Store, **arguments: Any) -> dict[str, Any]:
    given = {
        "path": r"C:\site.pfx",
        "password": PFX_PASSWORD,
        "store_name": "WebHosting",
        "key_storage": "machine",
    }
    return run(store, "ansible.windows.win_certificate_store", **{**given, **arguments})


def bind(store: Store, thumbprint: str, check: bool = False, **binding: Any) -> dict[str, Any]:
    wanted = {
        "ip": "*",
        "port": 443,
        "hostname": "a.example",
        "protocol": "https",
        "use_sni": True,
        "certificate_hash": thumbprint,
        "certificate_store_name": "WebHosting",
    }
    return run(
        store,
        "microsoft.iis.website",
        check,
        name="a",
        physical_path=r"C:\inetpub\wwwroot",
        bindings={"add": [{**wanted, **binding}]},
    )


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("microsoft.iis.website", {"name": "a"}),
        ("microsoft.iis.website_info", {"name": "a"}),
        ("microsoft.iis.web_app_pool", {"name": "a"}),
        ("microsoft.iis.web_app_pool_info", {}),
    ],
)
def test_iis_modules_fail_without_the_scripting_tools(store: Store, name: str, arguments: Any) -> None:
    result = run(store, name, **arguments)
    assert result["failed"]
    assert "WebAdministration" in result["msg"]


def test_a_feature_brings_its_parents_and_iis_its_default_site(iis: Store) -> None:
    state = iis.read()
    assert state.features["Web-App-Dev"]
    assert list(state.sites) == ["Default Web Site"]
    assert not run(iis, "ansible.windows.win_feature", name="web-server")["changed"]


def test_check_mode_writes_nothing(store: Store) -> None:
    before = (store.root / "state.json").read_bytes()
    assert run(store, "ansible.windows.win_feature", check=True, name="Web-Server")["changed"]
    assert run(store, "ansible.windows.win_file", check=True, path=r"C:\new", state="directory")["changed"]
    assert (store.root / "state.json").read_bytes() == before
    assert not store.path(r"C:\new").exists()


def test_a_module_that_fails_half_way_leaves_the_state_as_it_was(iis: Store, certificate: str) -> None:
    import_pfx(iis)
    before = iis.read()
    # The site would be made first; its binding is then refused.
    result = bind(iis, "00" * 20)
    assert "Unable to locate certificate" in result["msg"]
    assert iis.read() == before


def test_a_broken_model_says_so_and_leaves_the_state_as_it_was(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: Any) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr(Store, "path", explode)
    result = run(store, "ansible.windows.win_stat", path=r"C:\x")
    assert result["failed"]
    assert "model of ansible.windows.win_stat broke" in result["msg"]


def test_a_pfx_is_really_opened(iis: Store, certificate: str) -> None:
    wrong = import_pfx(iis, password="nope")  # noqa: S106
    assert wrong["failed"]
    assert "network password is not correct" in wrong["msg"]
    right = import_pfx(iis)
    assert right["changed"]
    assert right["thumbprints"][0] == certificate
    assert not import_pfx(iis)["changed"]
    info = run(iis, "ansible.windows.win_certificate_info", store_name="webhosting", thumbprint=certificate)
    assert info["certificates"][0]["has_private_key"]
    assert "a.example" in info["certificates"][0]["dns_names"]


def test_a_certificate_without_its_key_cannot_be_bound(iis: Store, certificate: str) -> None:
    assert import_pfx(iis, path=r"C:\site.pem", password=None)["changed"]
    assert "logon session does not exist" in bind(iis, certificate)["msg"]
    # Importing the key later completes the entry.
    assert import_pfx(iis)["changed"]
    assert bind(iis, certificate)["changed"]


def test_the_store_of_iis_comes_with_iis(store: Store) -> None:
    assert "unable to find store 'WebHosting'" in import_pfx(store)["msg"]


@pytest.mark.parametrize(
    ("binding", "said"),
    [
        ({"certificate_hash": None}, "certificate_hash or use_ccs"),
        ({"hostname": None}, "must specify hostname value when use_sni is set"),
        ({"protocol": "http"}, "use_sni can only be set for https"),
        ({"use_ccs": True}, "does not model"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_binding_that_iis_refuses(iis: Store, certificate: str, binding: Any, said: str) -> None:
    import_pfx(iis)
    assert said in bind(iis, certificate, **binding)["msg"]


def test_a_swapped_certificate_goes_unreported_as_in_microsoft_iis_1_1_0(
    iis: Store, certificate: str, tmp_path: Path
) -> None:
    import_pfx(iis)
    bind(iis, certificate)
    machine = new_windows(tmp_path / "renewed")
    renewed = machine.issue_site_certificate("a.example")
    iis.path(r"C:\site.pfx").write_bytes((machine.folder / "site.pfx").read_bytes())
    import_pfx(iis)
    # The real module would rebind even in check mode; the simulator refuses to play that.
    assert "check mode" in bind(iis, renewed, check=True)["msg"]
    assert bind(iis, renewed)["changed"] is False
    assert iis.read().sites["a"].bindings[0].certificate_hash == renewed


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"enable32BitAppOnWin64": True}, "does not model the application pool attribute"),
        ({"startMode": "Sometimes"}, "Failed to set attribute"),
        ({"processModel.idleTimeout": "25:00:00"}, "Failed to set attribute"),
    ],
)
def test_a_pool_attribute_that_is_unknown_or_wrong(iis: Store, attributes: Any, said: str) -> None:
    assert said in run(iis, "microsoft.iis.web_app_pool", name="p", attributes=attributes)["msg"]
    assert "p" not in iis.read().app_pools


@pytest.mark.parametrize("path", ["relative\\x", "/unix/x", r"C:\a\..\b"])
def test_a_path_that_windows_would_read_otherwise_is_refused(store: Store, path: str) -> None:
    assert run(store, "ansible.windows.win_stat", path=path)["failed"]


def test_paths_are_found_without_regard_to_case(store: Store) -> None:
    run(store, "ansible.windows.win_file", path=r"D:\Production\Site", state="directory")
    assert run(store, "ansible.windows.win_stat", path="d:/PRODUCTION/site")["stat"]["isdir"]
    assert not run(store, "ansible.windows.win_file", path=r"d:\production\SITE", state="directory")[
        "changed"
    ]


def test_a_drive_that_does_not_exist(store: Store) -> None:
    assert (
        "Cannot find drive" in run(store, "ansible.windows.win_file", path=r"X:\a", state="directory")["msg"]
    )


@pytest.mark.parametrize("line", ["", "nobody", ":secret", "name:", "name:with:colon"])
def test_an_account_file_that_nobody_could_log_on_with(tmp_path: Path, line: str) -> None:
    (tmp_path / "users").write_text(f"{line}\n")
    with pytest.raises(ValueError, match="users"):
        install_users(tmp_path / "users", tmp_path)
