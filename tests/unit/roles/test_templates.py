"""What the templates promise, whatever an inventory says: rendered by Ansible's templar, read by a parser."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import fields
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleUndefinedVariable  # type: ignore[import-untyped]
from comfystack.moments import end_of
from comfystack_api.images.exchange import FOLDER
from comfystack_api.settings import Settings, from_environment
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.lab.windows_host.winsim.iis import webconfig

from . import nginx, rendering
from .nginx import Directive
from .rendering import LEAST

COMFYUI = "compose/comfyui-qwen.yml.j2"
API = "compose/api.yml.j2"
EDGE = "compose/edge.yml.j2"
NGINX = "roles/edge_proxy/templates/nginx.conf.j2"
TOKENS = "roles/api_service/templates/tokens.json.j2"
WEB_CONFIG = "iis/web.config.j2"
SITE = {"name": "images.example.org", "backend_port": 8188}
MEBIBYTE = 1 << 20
# IIS counts in a uint.
LARGEST = (1 << 32) - 1


def comfyui(mode: str = "wsl", **changes: object) -> dict[str, Any]:
    text = rendering.render(
        COMFYUI, "comfyui_service", {**LEAST, "gpu_pins": rendering.pins(mode), **changes}
    )
    project: dict[str, Any] = yaml.safe_load(text)
    return project


def edge(**changes: object) -> dict[str, Any]:
    project: dict[str, Any] = yaml.safe_load(rendering.render(EDGE, "edge_proxy", {**LEAST, **changes}))
    return project


def nginx_conf(**changes: object) -> Directive:
    return nginx.parse(rendering.render(NGINX, "edge_proxy", {**LEAST, **changes})).one("http")


def web_config(site: dict[str, Any] | None = None, **changes: object) -> webconfig.WebConfig:
    facts = {"site": {**SITE, **(site or {})}, "_iis_gateway_redirect": changes.pop("redirect", True)}
    text = rendering.render(WEB_CONFIG, "iis_gateway", {**LEAST, **changes}, **facts)
    return webconfig.parse(text.encode())


def public_server(http: Directive) -> Directive:
    (server,) = [one for one in http.all("server") if one.all("listen", "8188")]
    return server


class TestComfyuiInCompose:
    @pytest.fixture(params=["wsl", "native"])
    def service(self, request: pytest.FixtureRequest) -> dict[str, Any]:
        found: dict[str, Any] = comfyui(request.param)["services"]["comfyui-qwen"]
        return found

    def test_it_is_published_on_no_port(self, service: dict[str, Any]) -> None:
        assert {"ports", "network_mode", "expose"} & set(service) == set()

    def test_it_can_write_only_to_its_mounts_and_gain_nothing(self, service: dict[str, Any]) -> None:
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert {"privileged", "cap_add", "user", "devices", "pid", "ipc"} & set(service) == set()

    def test_the_models_are_read_only_and_the_rest_lies_in_the_data_folder(
        self, service: dict[str, Any]
    ) -> None:
        models, *data = service["volumes"]
        assert models == "/srv/models:/opt/comfyui/models:ro"
        assert data == [
            f"/opt/comfystack/data/{one}:/opt/comfyui/{one}" for one in ("input", "output", "temp", "user")
        ]

    def test_models_of_other_programs_are_read_only_and_told_to_comfyui(self) -> None:
        shared = [{"path": "/srv/forge/models", "folders": {"loras": ["Lora"], "vae": ["VAE", "VAE-approx"]}}]
        given = {**LEAST, "gpu_pins": rendering.pins("wsl"), "comfyui_service_shared_models": shared}
        service = yaml.safe_load(rendering.render(COMFYUI, "comfyui_service", given))["services"][
            "comfyui-qwen"
        ]
        mounts = [volume.split(":") for volume in service["volumes"]]
        assert ["/srv/forge/models", "/srv/shared-models/1", "ro"] in mounts
        (config,) = [mount for mount in mounts if mount[0].endswith(".yaml")]
        assert config[2] == "ro"
        assert f"--extra-model-paths-config={config[1]}" in service["command"]
        text = rendering.render(
            "roles/comfyui_service/templates/extra_model_paths.yaml.j2", "comfyui_service", given
        )
        assert yaml.safe_load(text) == {
            "shared_1": {"base_path": "/srv/shared-models/1", "loras": "Lora\n", "vae": "VAE\nVAE-approx\n"}
        }

    def test_nothing_executable_is_mounted(self, service: dict[str, Any]) -> None:
        targets = [volume.split(":")[1] for volume in service["volumes"]]
        assert not [target for target in targets if "custom_nodes" in target or target == "/opt/comfyui"]

    def test_the_image_is_the_built_one(self, service: dict[str, Any]) -> None:
        assert service["image"] == LEAST["comfyui_image_reference"]
        assert "build" not in service

    def test_its_log_cannot_fill_the_disk(self, service: dict[str, Any]) -> None:
        assert set(service["logging"]["options"]) == {"max-size", "max-file"}

    def test_in_wsl_it_gets_all_cards_and_is_told_which_one_by_uuid(self) -> None:
        service = comfyui("wsl")["services"]["comfyui-qwen"]
        assert service["runtime"] == "nvidia"
        assert "deploy" not in service
        uuid = rendering.pins("wsl")["comfyui-qwen"]["uuid"]
        environment = service["environment"]
        assert environment["NVIDIA_VISIBLE_DEVICES"] == "all"
        assert (environment["CUDA_DEVICE_ORDER"], environment["CUDA_VISIBLE_DEVICES"]) == ("PCI_BUS_ID", uuid)

    def test_without_a_card_it_gets_none_and_is_told_to_compute_on_the_processor(self) -> None:
        service = comfyui("cpu")["services"]["comfyui-qwen"]
        assert "--cpu" in service["command"]
        assert not {"runtime", "deploy"} & set(service)
        assert service["environment"]["COMFYSTACK_GPU_MODE"] == "cpu"
        assert "--cpu" not in comfyui("wsl")["services"]["comfyui-qwen"]["command"]

    def test_natively_it_gets_the_one_card_alone(self) -> None:
        service = comfyui("native")["services"]["comfyui-qwen"]
        assert "runtime" not in service
        assert "NVIDIA_VISIBLE_DEVICES" not in service["environment"]
        (device,) = service["deploy"]["resources"]["reservations"]["devices"]
        assert device == {
            "driver": "nvidia",
            "device_ids": [rendering.pins("native")["comfyui-qwen"]["uuid"]],
            "capabilities": ["gpu"],
        }

    def test_no_option_of_comfyui_chooses_the_card(self) -> None:
        # --cuda-device takes an int and overwrites CUDA_VISIBLE_DEVICES.
        assert not [word for word in comfyui()["services"]["comfyui-qwen"]["command"] if "cuda" in word]


class TestTheEdgeInCompose:
    def test_it_publishes_one_port(self) -> None:
        assert edge()["services"]["edge"]["ports"] == ["0.0.0.0:8188:8188"]
        changed = edge(edge_proxy_bind_address="127.0.0.1", site_edge_port=9000)
        assert changed["services"]["edge"]["ports"] == ["127.0.0.1:9000:8188"]

    def test_it_can_write_nowhere_and_gain_nothing(self) -> None:
        service = edge()["services"]["edge"]
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert [volume.rpartition(":")[2] for volume in service["volumes"]] == ["ro"]
        assert {"privileged", "cap_add", "network_mode"} & set(service) == set()

    def test_both_projects_are_on_the_one_network_that_neither_owns(self) -> None:
        for project in (comfyui(site_docker_network="lan"), edge(site_docker_network="lan")):
            assert project["networks"] == {"lan": {"external": True}}
            (service,) = project["services"].values()
            assert service["networks"] == ["lan"]


class TestTheEdgesConfiguration:
    def test_a_request_goes_to_comfyui_only_after_the_service_api_said_yes(self) -> None:
        root = public_server(nginx_conf()).one("location", "/")
        assert root.one("auth_request").words[1] == "/_auth"
        # Any answer but yes and no, none at all too, is an error 500 of nginx's own: it lets nobody pass.
        assert root.one("error_page", "500").words[2:] == ("=", "@undecided")
        assert [one.words for one in root.everything() if one.words[0] in ("satisfy", "if")] == []
        assert public_server(nginx_conf()).all("auth_basic") == []

    def test_no_other_place_leads_to_comfyui(self) -> None:
        http = nginx_conf()
        passes = {one.words for one in http.everything() if one.words[0].endswith("_pass")}
        assert passes == {
            ("proxy_pass", "http://$backend$forward_uri"),
            ("proxy_pass", "http://$api"),
            ("proxy_pass", "http://$api/auth"),
            ("proxy_pass", "http://$api/refused"),
        }
        sets = [one.words for one in http.everything() if one.words[0] == "set"]
        assert [words for words in sets if words[1] == "$backend"] == [
            ("set", "$backend", "comfyui-qwen:8188")
        ]
        assert [words for words in sets if words[1] == "$api"] == [("set", "$api", "api:8190")]

    def test_what_only_the_edge_may_ask_is_asked_by_nobody_else(self) -> None:
        locations = {one.words[-1]: one for one in public_server(nginx_conf()).all("location")}
        for name in ("/_auth", "/_jobs/", "/_uploads/", "/_views/"):
            assert locations[name].all("internal"), name
        opened = {name for name, one in locations.items() if not one.all("internal") and name[0] != "@"}
        assert opened == {"/", "/login", "/logout", "/healthz", "/readyz", "/metrics", "/v1/"}

    def test_the_service_api_reads_no_header_that_a_client_could_have_set_for_the_edge(self) -> None:
        server = public_server(nginx_conf())
        asking = [one for one in server.all("location") if one.all("proxy_pass", "http://$api")]
        asking += [server.one("location", "=", "/_auth"), server.one("location", "@refused")]
        assert len(asking) >= 5
        for place in asking:
            # nginx takes a server's headers where a location has none of its own.
            source = place if place.all("proxy_set_header") else server
            given_ = {one.words[1]: one.words[2] for one in source.all("proxy_set_header")}
            for header, value in (
                ("X-Original-Method", "$request_method"),
                ("X-Original-URI", "$request_uri"),
                ("X-Peer-Address", "$remote_addr"),
                ("Host", "$http_host"),
            ):
                assert given_[header] == value, (place.words, header)

    @pytest.mark.parametrize("name", ["/_auth", "@refused"])
    def test_only_the_head_of_a_request_is_asked_about(self, name: str) -> None:
        (place,) = [one for one in public_server(nginx_conf()).all("location") if one.words[-1] == name]
        assert place.one("proxy_pass_request_body").words[1] == "off"
        assert place.one("proxy_method").words[1] == "GET"
        assert place.one("proxy_set_header", "Content-Length").words[2] == ""

    @pytest.mark.parametrize(
        ("address", "forged"),
        [
            ("/view?filename=a%0d%0aSet-Cookie:%20x", True),
            ("/a%00b", True),
            ("/a%7Fb", True),
            ("/x?a=%1F", True),
            ("/view?filename=a%20b%2Fc.png", False),
            ("/x?a=100%", False),
            ("/x?a=%2500", False),
        ],
    )
    def test_an_address_with_a_control_character_goes_no_further(self, address: str, forged: bool) -> None:
        (pattern,) = [
            one.words[0]
            for one in nginx_conf().one("map", "$request_uri", "$forged").inside
            if one.words[1] == "1"
        ]
        assert pattern.startswith("~*")
        assert bool(re.search(pattern[2:], address, re.IGNORECASE)) is forged
        first = next(one for one in public_server(nginx_conf()).inside if one.words[0] == "if")
        assert first.words == ("if", "($forged)")
        assert first.one("rewrite").words[1:] == ("^", "/_malformed", "last")

    @pytest.mark.parametrize(
        ("request_", "place"),
        [
            ("POST /prompt", "/_jobs"),
            ("POST /api/history", "/_jobs"),
            ("POST /upload/image", "/_uploads"),
            ("POST /api/upload/mask", "/_uploads"),
            ("GET /history", ""),
            ("POST /upload/other", ""),
            ("POST /api/api/upload/image", ""),
            ("POST /api/free", "/_jobs"),
            ("POST /settings", "/_jobs"),
            ("POST /api/settings/Comfy.Locale", "/_jobs"),
            ("POST /free/x", ""),
            ("GET /settings", ""),
            ("POST /userdata/x", ""),
            ("GET /view", "$makes_a_picture"),
            ("HEAD /api/view", "$makes_a_picture"),
            ("GET /view/", ""),
            ("POST /view", ""),
            ("GET /view_metadata", ""),
        ],
    )
    def test_what_its_body_decides_goes_through_the_service_api(self, request_: str, place: str) -> None:
        leads = nginx_conf().one("map", "$request_method $uri", "$by_its_body").inside
        found = {
            one.words[1] for one in leads if one.words[0][0] == "~" and re.search(one.words[0][1:], request_)
        }
        assert found == ({place} if place else set())
        second = [one for one in public_server(nginx_conf()).inside if one.words[0] == "if"][1]
        assert second.words == ("if", "($by_its_body)")
        assert second.one("rewrite").words[1:] == ("^(?:/api)?(/.*)$", "$by_its_body$1", "last")

    @pytest.mark.parametrize(
        ("query", "goes"),
        [
            ("filename=x.png&preview=webp;90", True),
            ("channel=rgb&filename=x.png", True),
            ("filename=x.png&preview", True),
            ("filename=x.png&preview&type=output", True),
            ("filename=x.png&%70review=", True),
            ("filename=x.png&chann%65l", True),
            ("filename=a%20preview=.png&type=output", False),
            ("filename=preview&subfolder=channel=a&rand=0.1", False),
            ("filename=x.png&previews=1", False),
            ("", False),
        ],
    )
    def test_what_makes_a_picture_goes_there_too(self, query: str, goes: bool) -> None:
        leads = nginx_conf().one("map", "$args", "$makes_a_picture").inside
        (pattern,) = [one.words[0] for one in leads if one.words[1] == "/_views"]
        assert bool(re.search(pattern.removeprefix("~"), query)) is goes

    def test_no_credential_is_handed_on(self) -> None:
        root = public_server(nginx_conf()).one("location", "/")
        # Not $request_uri, which could have a token in it; a page's address is in Referer, too.
        assert root.one("proxy_pass").words[1] == "http://$backend$forward_uri"
        for header in ("Authorization", "X-API-Key", "Cookie", "Referer"):
            assert root.one("proxy_set_header", header).words[2] == ""

    def test_the_public_name_and_the_upgrade_reach_comfyui(self) -> None:
        root = public_server(nginx_conf()).one("location", "/")
        assert root.one("proxy_http_version").words[1] == "1.1"
        assert root.one("proxy_set_header", "Host").words[2] == "$http_host"
        assert root.one("proxy_set_header", "Upgrade").words[2] == "$http_upgrade"
        assert root.one("proxy_buffering").words[1] == "off"

    def test_the_log_holds_no_query_string_and_no_token(self) -> None:
        http = nginx_conf()
        form = http.one("log_format", "edge").words[2]
        for leak in ("$request ", '"$request"', "$request_uri", "$args", "$query_string", "$http_", "token"):
            assert leak not in form
        logs = [one.words[1:] for one in http.everything() if one.words[0] == "access_log"]
        assert set(logs) == {("/dev/stdout", "edge"), ("off",)}
        # A message of the error log about a request always has the whole address.
        assert http.one("error_log").words[1:] == ("stderr", "emerg")

    def test_the_health_page_answers_inside_the_container_alone(self) -> None:
        listening = {one.words[1] for one in nginx_conf().everything() if one.words[0] == "listen"}
        assert listening == {"8188", "127.0.0.1:8189"}

    def test_the_edge_starts_while_comfyui_is_down(self) -> None:
        # A name that is written out is resolved once, at the start, and nginx ends where it cannot be.
        root = public_server(nginx_conf()).one("location", "/")
        assert root.one("set", "$backend").words[2] == "comfyui-qwen:8188"
        assert nginx_conf().one("resolver").words[1] == "127.0.0.11"

    def test_each_token_is_written_by_its_digest(self) -> None:
        tokens = [{"name": "ann", "token": "a" * 32}, {"name": "ben", "token": "b" * 64, "scope": "admin"}]
        text = rendering.render(TOKENS, "api_service", {**LEAST, "api_service_tokens": tokens})
        assert "a" * 32 not in text
        digests = [hashlib.sha256(str(one["token"]).encode()).hexdigest() for one in tokens]
        assert json.loads(text) == [
            {"name": "ann", "scope": "user", "sha256": digests[0]},
            {"name": "ben", "scope": "admin", "sha256": digests[1]},
        ]

    def test_a_tokens_end_stands_beside_its_digest_as_the_service_reads_it(self) -> None:
        ends = ("2027-01-31", "2027-01-31T18:00:00+02:00")
        tokens = [{"name": f"{n}", "token": f"{n}" * 32, "expires": end} for n, end in enumerate(ends)]
        text = rendering.render(TOKENS, "api_service", {**LEAST, "api_service_tokens": tokens})
        read = [end_of(one["expires"]).isoformat() for one in json.loads(text)]
        assert read == ["2027-02-01T00:00:00+00:00", "2027-01-31T16:00:00+00:00"]

    def test_a_configuration_that_nginx_could_not_read_is_found(self) -> None:
        for text in ("server { listen 80;", "}", "listen 80", "server { listen 80 }"):
            with pytest.raises(ValueError, match=r"inside of|too early"):
                nginx.parse(text)


class TestOneLimitForAll:
    @settings(max_examples=15, deadline=None)
    @example(limit=LARGEST)
    @example(limit=1)
    @given(limit=st.integers(min_value=1, max_value=LARGEST))
    def test_the_upload_limit_is_the_same_at_iis_and_the_edge_and_comfyui_takes_as_much(
        self, limit: int
    ) -> None:
        filtering = web_config(site_max_upload_bytes=limit).section("security/requestFiltering")
        assert filtering.children["requestLimits"].number("maxAllowedContentLength") == limit
        assert public_server(nginx_conf(site_max_upload_bytes=limit)).one("client_max_body_size").words[
            1
        ] == str(limit)
        command = comfyui(site_max_upload_bytes=limit)["services"]["comfyui-qwen"]["command"]
        (size,) = [word.partition("=")[2] for word in command if word.startswith("--max-upload-size=")]
        assert limit <= float(size) * MEBIBYTE < limit + 0.02 * MEBIBYTE

    @pytest.mark.parametrize(
        ("seconds", "in_iis"), [(90, "00:01:30"), (3600, "01:00:00"), (90_061, "1.01:01:01")]
    )
    def test_the_timeout_is_the_same_at_iis_and_the_edge(self, seconds: int, in_iis: str) -> None:
        given_ = {**LEAST, "site_proxy_timeout_seconds": seconds}
        root = public_server(nginx_conf(**given_)).one("location", "/")
        assert {root.one(f"proxy_{way}_timeout").words[1] for way in ("read", "send")} == {f"{seconds}s"}
        told = rendering.value("_iis_gateway_server_settings", "iis_gateway", given_)
        assert [one["value"] for one in told if one["name"] == "timeout"] == [in_iis]


class TestTheServiceApiInCompose:
    def test_it_starts_with_the_numbers_of_the_role_and_its_own_are_the_same(self) -> None:
        service = yaml.safe_load(rendering.render(API, "api_service", LEAST))["services"]["api"]
        environment = {name: str(value) for name, value in service["environment"].items()}
        read = from_environment(environment)
        own = Settings(read.comfyui_url, read.tokens_file, read.state_dir)
        assert read == own
        known = {field.name.upper() for field in fields(Settings)}
        assert {name.removeprefix("API_") for name in environment} <= known

    def test_it_shares_two_folders_with_comfyui_and_no_more(self) -> None:
        service = yaml.safe_load(rendering.render(API, "api_service", LEAST))["services"]["api"]
        data = "/opt/comfystack/data"
        shared = [one.split(":") for one in service["volumes"] if one.startswith(data)]
        assert shared == [
            [f"{data}/input/{FOLDER}", str(Settings.incoming_dir)],
            [f"{data}/output/{FOLDER}", str(Settings.outgoing_dir)],
        ]


class TestTheRulesForIis:
    def test_they_forward_to_windows_own_loopback(self) -> None:
        site = {**SITE, "backend_port": 9000}
        text = rendering.render(WEB_CONFIG, "iis_gateway", LEAST, site=site, _iis_gateway_redirect=True)
        assert 'url="http://127.0.0.1:9000{UNENCODED_URL}"' in text
        # `localhost` would be tried as IPv6 first.
        assert "//localhost" not in text

    @pytest.mark.parametrize(("wanted", "rules"), [(True, 4), (False, 3)])
    def test_https_is_forced_where_it_is_asked_for(self, wanted: bool, rules: int) -> None:
        text = rendering.render(WEB_CONFIG, "iis_gateway", LEAST, site=SITE, _iis_gateway_redirect=wanted)
        assert text.count("<rule name=") == rules
        assert ('type="Redirect"' in text) is wanted

    def test_the_longest_query_string_is_the_roles(self) -> None:
        filtering = web_config(iis_gateway_max_query_string_bytes=4321).section("security/requestFiltering")
        assert filtering.children["requestLimits"].number("maxQueryString") == 4321


def test_apt_reads_the_mirror_and_holds_the_version() -> None:
    changes = {
        **LEAST,
        "nvidia_runtime_repository_url": "http://mirror/nv",
        "nvidia_runtime_version": "1.21.0-1",
    }
    where = "roles/nvidia_runtime/templates/nvidia-container-toolkit"
    assert "\nURIs: http://mirror/nv/stable/deb/$(ARCH)/\n" in rendering.render(
        f"{where}.sources.j2", "nvidia_runtime", changes
    )
    pinned = rendering.render(f"{where}.pref.j2", "nvidia_runtime", changes)
    assert "\nPin: version 1.21.0-1\n" in pinned
    assert "\nPin-Priority: 1001" in pinned


@pytest.mark.parametrize(
    ("template", "role", "missing"),
    [
        (COMFYUI, "comfyui_service", "comfyui_service_models_dir"),
        (EDGE, "edge_proxy", "edge_proxy_reference"),
        (TOKENS, "api_service", "api_service_tokens"),
        (API, "api_service", "api_service_reference"),
    ],
)
def test_a_value_that_nobody_gave_is_an_error_and_not_an_empty_place(
    template: str, role: str, missing: str
) -> None:
    given_ = {name: value for name, value in LEAST.items() if name != missing}
    with pytest.raises(AnsibleUndefinedVariable, match=missing):
        rendering.render(template, role, {**given_, "gpu_pins": rendering.pins("wsl")})
