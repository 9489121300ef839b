"""The inventory of the user's own site, without its hosts: it can be read, rendered, understood, and holds no secret.

The same promises hold for what `make new-site` writes.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator  # type: ignore[import-untyped]

from tests.lab.windows_host.winsim.iis import webconfig

from . import interface, nginx, rendering, test_new_site
from .interface import ROLES, ROOT

PRODUCTION = ROOT / "inventories" / "production"
BIN = Path(sys.executable).parent
ANSIBLE = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible" / "ansible.cfg")}
SECRETS = {
    "vault_windows_password": "not-the-real-one",
    "vault_edge_token_operator": "0123456789abcdef" * 4,
}
SPECS = {role.name: interface.read(role).options for role in ROLES}
HOSTS = {"gpu_hosts": "ubuntu", "windows_hosts": "windows"}


def roles_of(group: str) -> list[str]:
    """The roles that site.yml gives to a group, and `site`, on which they stand."""
    plays = yaml.safe_load((ROOT / "ansible" / "site.yml").read_text())
    given = [entry["role"] for play in plays if play.get("hosts") == group for entry in play.get("roles", [])]
    assert given, f"site.yml has no roles for {group}"
    return ["site", *given]


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The inventory as the repository has it: an operator's own Vault beside it is none of these tests' business."""
    folder = tmp_path_factory.mktemp("clone") / "inventories" / "production"
    return Path(shutil.copytree(PRODUCTION, folder, ignore=shutil.ignore_patterns("vault.yml")))


NEW = {"a new site": {}, "a new site, from inside the guest": {"NAME": "inside", "GUEST": "local"}}


@pytest.fixture(scope="module", params=["production", *NEW])
def inventory(request: pytest.FixtureRequest, production: Path) -> Path:
    if request.param == "production":
        return production
    changes = NEW[request.param]
    folder = production.parent / {**test_new_site.ANSWERS, **changes}["NAME"]
    if not folder.exists():
        assert test_new_site.run(production.parent, **changes) == 0
    return folder


def host_of(inventory: Path, group: str) -> dict[str, Any]:
    """What the inventory says of the only host of a group."""
    hosts = yaml.safe_load((inventory / "hosts.yml").read_text())["all"]["children"][group]["hosts"]
    (name,) = hosts
    return rendering.site(inventory, name, **SECRETS)


@pytest.fixture(params=list(HOSTS))
def group(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


def test_ansible_lists_one_guest_and_one_windows_host(inventory: Path) -> None:
    done = subprocess.run(
        [BIN / "ansible-inventory", "-i", inventory, "--list"],
        env=ANSIBLE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    listed = json.loads(done.stdout)
    assert [len(listed[group]["hosts"]) for group in HOSTS] == [1, 1]


def test_the_playbook_is_sound_with_it(inventory: Path) -> None:
    done = subprocess.run(
        [BIN / "ansible-playbook", "--syntax-check", "-i", inventory, ROOT / "ansible" / "site.yml"],
        env=ANSIBLE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_every_role_finds_its_settings_and_they_have_the_right_form(inventory: Path, group: str) -> None:
    given = host_of(inventory, group)
    for role in roles_of(group):
        options = {name: {**spec, "default": None} for name, spec in SPECS[role].items()}
        values = {name: rendering.value(name, role, given) for name in options if name in given}
        assert {name for name, spec in options.items() if spec.get("required")} <= set(values), role
        assert ArgumentSpecValidator(options).validate(values).error_messages == [], role


def test_every_setting_is_one_that_somebody_reads(inventory: Path) -> None:
    options = {option for role in SPECS.values() for option in role}
    for path in sorted(inventory.glob("group_vars/**/*.yml")):
        names = {
            name for name in yaml.safe_load(path.read_text()) if not re.match(r"ansible_|vault_|_site_", name)
        }
        assert names <= options, path.name


def settings_of(path: Path) -> Iterator[tuple[str, str]]:
    """Each setting of a file, one of a group's variables or of a host's, and the comment directly above it."""
    comment: list[str] = []
    for line in path.read_text().splitlines():
        setting = re.match(r"(?:[a-z_]+|\s+ansible_\w+):", line)
        if line.strip().startswith("#"):
            comment.append(line.strip("# "))
            continue
        if setting and line.strip() != "all:":
            yield setting[0].strip(" :"), " ".join(comment)
        comment = []


def test_every_setting_says_what_it_is_for_its_format_and_an_example(inventory: Path) -> None:
    files = [inventory / "hosts.yml", *sorted(inventory.glob("group_vars/**/*.yml"))]
    found = [(path.name, name, comment) for path in files for name, comment in settings_of(path)]
    assert len(found) > 25
    silent = [
        (file, name) for file, name, comment in found if "Example: " not in comment or len(comment) < 40
    ]
    assert silent == []
    assert [(file, name) for file, name, comment in found if "Format: " not in comment] == []


def test_a_setting_without_its_comment_is_found(tmp_path: Path) -> None:
    file = tmp_path / "all.yml"
    file.write_text("# One. Format: text. Example: a\nfirst: a\n\nsecond: b\n")
    assert list(settings_of(file)) == [("first", "One. Format: text. Example: a"), ("second", "")]


def test_the_guest_is_reached_by_what_is_written_out(inventory: Path) -> None:
    # Verify takes these from `ansible-inventory --list`, where no template is resolved.
    hosts = yaml.safe_load((inventory / "hosts.yml").read_text())["all"]["children"]["gpu_hosts"]["hosts"]
    (guest,) = hosts.values()
    login = {"ansible_host", "ansible_port", "ansible_user"}
    assert set(guest) == login or guest == {"ansible_connection": "local"}
    assert "{{" not in str(guest)


def test_windows_is_reached_over_tls_that_is_checked(inventory: Path) -> None:
    windows = host_of(inventory, "windows_hosts")
    assert (windows["ansible_connection"], windows["ansible_winrm_scheme"]) == ("winrm", "https")
    assert windows.get("ansible_winrm_server_cert_validation", "validate") == "validate"
    trusted = rendering.value("ansible_winrm_ca_trust_path", "site", windows)
    assert trusted == f"{Path.home()}/comfystack/{windows['site_name']}/winrm-ca.pem"


def test_every_template_can_be_rendered(inventory: Path) -> None:
    guest = {**rendering.LEAST, **host_of(inventory, "gpu_hosts"), "gpu_pins": rendering.pins("wsl")}
    compose = yaml.safe_load(rendering.render("compose/comfyui-qwen.yml.j2", "comfyui_service", guest))
    models = guest["comfyui_service_models_dir"]
    assert f"{models}:/opt/comfyui/models:ro" in compose["services"]["comfyui-qwen"]["volumes"]
    edge = yaml.safe_load(rendering.render("compose/edge.yml.j2", "edge_proxy", guest))
    assert edge["services"]["edge"]["ports"] == ["0.0.0.0:8188:8188"]
    nginx.parse(rendering.render("roles/edge_proxy/templates/nginx.conf.j2", "edge_proxy", guest))
    (operator,) = json.loads(
        rendering.render("roles/api_service/templates/tokens.json.j2", "api_service", guest)
    )
    assert operator == {
        "name": "operator",
        "scope": "admin",
        "sha256": hashlib.sha256(SECRETS["vault_edge_token_operator"].encode()).hexdigest(),
    }
    for template in sorted((ROOT / "roles").glob("*/templates/*.j2")):
        rendering.render(str(template.relative_to(ROOT)), template.parents[1].name, guest)

    windows = host_of(inventory, "windows_hosts")
    for site in rendering.value("iis_gateway_sites", "iis_gateway", windows):
        text = rendering.render(
            "iis/web.config.j2", "iis_gateway", windows, site=site, _iis_gateway_redirect=True
        )
        webconfig.parse(text.encode())
        assert 'url="http://127.0.0.1:8188{UNENCODED_URL}"' in text


def test_no_secret_stands_in_it(inventory: Path, group: str) -> None:
    given = host_of(inventory, group)
    hidden = {name for options in SPECS.values() for name, spec in options.items() if spec.get("no_log")}
    for name in ({*hidden, "ansible_password"} & set(given)) - {"api_service_tokens"}:
        assert re.fullmatch(r"{{ vault_\w+ }}", given[name]), name
    for token in given.get("api_service_tokens", []):
        assert re.fullmatch(r"{{ vault_\w+ }}", token["token"])


def test_the_example_of_the_vault_names_every_secret_and_no_other(inventory: Path) -> None:
    example = yaml.safe_load((inventory / "group_vars" / "vault.example.yml").read_text())
    texts = [path.read_text() for path in inventory.rglob("*.yml") if path.name != "vault.example.yml"]
    named = {name for text in texts for name in re.findall(r"{{ (vault_\w+)", re.sub(r"(?m)^#.*$", "", text))}
    assert set(example) == named == set(SECRETS)
    assert all(value.startswith("REPLACE-ME") for value in example.values())
    good_token = rendering.value("_api_service_token_pattern", "api_service", rendering.LEAST)
    assert not [value for value in example.values() if re.match(good_token, value)]


def test_an_unencrypted_vault_is_not_committed_by_accident(inventory: Path) -> None:
    assert "/group_vars/all/vault.yml" in (inventory / ".gitignore").read_text().splitlines()


class TestTheUsersSite:
    """What the user's own reports say of the site."""

    def test_the_service_runs_on_the_3090_by_name(self, production: Path) -> None:
        services = rendering.value("gpu_pin_services", "gpu_pin", host_of(production, "gpu_hosts"))
        qwen = {"name": "NVIDIA GeForce RTX 3090", "variant": "fp8-lightning"}
        assert {name: wish for name, wish in services.items() if wish.get("runs", True)} == {
            "comfyui-qwen": qwen
        }

    def test_the_plan_knows_the_cards_of_the_forge_services_which_are_not_touched_yet(
        self, production: Path
    ) -> None:
        services = rendering.value("gpu_pin_services", "gpu_pin", host_of(production, "gpu_hosts"))
        assert services["myia"] == {"name": "NVIDIA GeForce RTX 3080", "runs": False}
        assert services["myia-turbo"] == {"name": "NVIDIA GeForce RTX 3090", "runs": False}

    def test_the_users_workspace_is_used_and_its_models_are_only_read(self, production: Path) -> None:
        guest = host_of(production, "gpu_hosts")
        models, data = guest["comfyui_service_models_dir"], guest["site_data_dir"]
        assert models.startswith("/home/jesse/SD/workspace/")
        assert data.startswith("/home/jesse/SD/workspace/")
        assert not data.startswith(models)
        forge = guest["comfyui_service_shared_models"][0]["path"]
        assert forge.startswith("/home/jesse/SD/workspace/")
        assert not models.startswith(forge), "nothing is fetched into another program's folder"

    def test_the_public_name_and_the_folders_of_iis_are_the_present_ones(self, production: Path) -> None:
        windows = host_of(production, "windows_hosts")
        assert rendering.value("iis_gateway_sites", "iis_gateway", windows) == [
            {"name": "qwen-image-edit.myia.io", "backend_port": 8188}
        ]
        assert windows["iis_gateway_sites_root"] == "D:\\Production"
        assert windows["wsl_host_distribution"] == "Ubuntu"

    def test_make_puts_what_it_generates_where_the_inventory_says(self, production: Path) -> None:
        bare = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
        done = subprocess.run(
            ["make", "--dry-run", "deploy", "INVENTORY=inventories/production"],
            cwd=ROOT,
            env=bare,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        guest = host_of(production, "gpu_hosts")
        build = Path(rendering.value("site_build_dir", "site", guest))
        assert f" {build.relative_to(production.parents[1])}/access.json" in done.stdout
        assert "tests.lab" not in done.stdout
