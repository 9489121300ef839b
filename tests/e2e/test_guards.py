"""Each thing that verify promises is broken once: verify turns red and names it, and a deployment repairs it."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest

from tests.lab.credentials import ensure
from tests.lab.gpu.cards import load as load_cards
from tests.lab.names import PUBLIC_NAME, ROOT

from .by_hand import edit_comfyui, turns_red, undo_comfyui
from .site import Lab

EDGE = "/opt/comfystack/edge/conf/nginx.conf"
RUNTIME = "/usr/bin/nvidia-container-runtime"
WEB_CONFIG = rf"C:\inetpub\comfystack\{PUBLIC_NAME}\web.config"

pytestmark = pytest.mark.usefixtures("deployed")


def test_a_number_typed_by_hand_that_works_today_and_a_port_past_the_edge_are_seen(lab: Lab) -> None:
    edit_comfyui(
        lab,
        "pin-by-hand",
        's/"CUDA_VISIBLE_DEVICES": "[^"]*"/"CUDA_VISIBLE_DEVICES": "1"/',
        '/container_name:/a \\    ports: ["8198:8188"]',
    )
    done = lab.verify("pin-by-hand-seen", "gpu or published")
    turns_red(done, "CUDA_VISIBLE_DEVICES=1, a number that no deployment wrote")
    turns_red(done, "the edge is the only way in", "8198")
    undo_comfyui(lab, "pin-by-hand-undone")


def test_a_number_counted_by_speed_does_not_get_as_far_as_serving(lab: Lab) -> None:
    """The old site's mistake: "1" is nvidia-smi's number of the pinned card, and CUDA's number of the other one."""
    edit_comfyui(
        lab,
        "pin-by-speed",
        's/"CUDA_DEVICE_ORDER": "[^"]*", //',
        's/"CUDA_VISIBLE_DEVICES": "[^"]*"/"CUDA_VISIBLE_DEVICES": "1"/',
    )
    done = lab.verify("pin-by-speed-seen", "gpu or healthy")
    turns_red(done, "CUDA device 0 is NVIDIA GeForce RTX 3080", "expected: NVIDIA GeForce RTX 3090")
    turns_red(done, "CUDA_DEVICE_ORDER is not set", "test_the_container_is_healthy[comfyui-qwen]")
    undo_comfyui(lab, "pin-by-speed-undone")


def test_another_device_is_seen_also_where_the_check_at_the_start_was_gone_around(lab: Lab) -> None:
    edit_comfyui(
        lab,
        "cuda-device",
        '/container_name:/a \\    entrypoint: ["/usr/bin/tini", "--", "python", "main.py"]',
        "s/- --listen=0.0.0.0/- --listen=0.0.0.0\\n      - --cuda-device=0/",
    )
    done = lab.verify("cuda-device-seen", "gpu or healthy")
    turns_red(done, "ComfyUI runs with --cuda-device, which overwrites CUDA_VISIBLE_DEVICES")
    turns_red(done, "ComfyUI computes on NVIDIA GeForce RTX 3080; expected: NVIDIA GeForce RTX 3090")
    turns_red(done, "test_the_container_is_healthy[comfyui-qwen]")
    undo_comfyui(lab, "cuda-device-undone")


def test_the_uuid_of_the_other_card_is_seen_and_does_not_get_as_far_as_serving(lab: Lab) -> None:
    other = load_cards().cards[0]
    edit_comfyui(
        lab, "other-uuid", f's/"CUDA_VISIBLE_DEVICES": "[^"]*"/"CUDA_VISIBLE_DEVICES": "{other.uuid}"/'
    )
    done = lab.verify("other-uuid-seen", "gpu or healthy")
    turns_red(done, f"CUDA_VISIBLE_DEVICES={other.uuid}, which is NVIDIA GeForce RTX 3080", "GPU-e47b2d90")
    turns_red(done, "CUDA device 0 is NVIDIA GeForce RTX 3080", "test_the_container_is_healthy[comfyui-qwen]")
    undo_comfyui(lab, "other-uuid-undone")


def test_a_computation_on_the_processor_is_seen(lab: Lab) -> None:
    edit_comfyui(
        lab,
        "processor",
        '/container_name:/a \\    entrypoint: ["/usr/bin/tini", "--", "python", "main.py"]',
        "s/- --listen=0.0.0.0/- --listen=0.0.0.0\\n      - --cpu/",
    )
    done = lab.verify("processor-seen", "gpu or healthy")
    turns_red(done, "ComfyUI runs with --cpu, which computes on the processor")
    turns_red(done, "ComfyUI computes on cpu; expected: NVIDIA GeForce RTX 3090")
    undo_comfyui(lab, "processor-undone")


def test_a_3090_ti_in_the_place_of_the_3090_is_seen(lab: Lab) -> None:
    driver = "/usr/lib/wsl/drivers/*/simulated-driver.json"
    lab.guest("another-card", f"sed -i 's/RTX 3090\"/RTX 3090 Ti\"/' {driver}")
    done = lab.verify("another-card-seen", "gpu")
    turns_red(
        done, "NVIDIA GeForce RTX 3090 Ti (GPU-e47b2d90", "expected: NVIDIA GeForce RTX 3090 (GPU-e47b2d90"
    )
    lab.guest("another-card-undone", f"sed -i 's/RTX 3090 Ti\"/RTX 3090\"/' {driver}")


def test_an_edge_that_lets_everybody_in_is_seen(lab: Lab) -> None:
    lab.guest(
        "edge-open",
        f"sed -i 's#auth_request /_auth;#auth_request off;#' {EDGE}\n"
        "docker kill -s HUP edge\n"
        "until docker exec edge curl -fsS -o /dev/null http://127.0.0.1:8188/system_stats; do sleep 0.2; done",
    )
    turns_red(lab.verify("edge-open-seen", "401"), "test_without_a_valid_token_every_path_answers_401")


def test_a_gateway_that_spoils_websockets_is_seen(lab: Lab) -> None:
    shown = lab.windows("web-config", "ansible.windows.slurp", src=WEB_CONFIG)
    found = re.search(r"\bcontent: (\S+)", shown.output)
    assert found, shown
    text = base64.b64decode(found[1]).decode()
    line = re.compile(r'\s*<set name="HTTP_SEC_WEBSOCKET_EXTENSIONS" value="" />')
    assert line.search(text)
    lab.windows("web-config-spoilt", "ansible.windows.win_copy", content=line.sub("", text), dest=WEB_CONFIG)
    turns_red(lab.verify("websocket-seen", "websocket"), "test_the_websocket_works_through_the_public_name")


def test_a_port_proxy_that_leads_to_an_address_of_yesterday_is_seen(lab: Lab) -> None:
    """What a restart of WSL does, where nothing looks after the port proxy: it does not know the guest's address."""
    # Else it would be mended at the next full five minutes.
    lab.windows(
        "watch-off", "community.windows.win_scheduled_task", name="Watch", path="ComfyStack", enabled=False
    )
    lab.windows(
        "stale-port-proxy",
        "ansible.windows.win_powershell",
        path=str(ROOT / "roles" / "wsl_host" / "files" / "Set-PortProxy.ps1"),
        parameters={
            "ListenAddress": "127.0.0.1",
            "ListenPort": 8188,
            "ConnectAddress": "127.0.0.9",
            "ConnectPort": 8188,
        },
    )
    turns_red(lab.verify("stale-port-proxy-seen", "token_opens"), "test_the_token_opens_the_service")


def test_a_certificate_of_another_authority_is_seen(lab: Lab, tmp_path: Path) -> None:
    ensure(tmp_path, "other")
    settings = {
        "tls_certificate_mode": "pfx",
        "tls_certificate_pfx": tmp_path / "tls" / "site.pfx",
        "tls_certificate_pfx_password": (tmp_path / "site-pfx-password").read_text(),
    }
    words = [word for name, value in settings.items() for word in ("-e", f"{name}={value}")]
    lab.play("other-certificate", "--limit", "windows-host", *words).ended_well()
    turns_red(lab.verify("other-certificate-seen", "certificate_is_checked"), "CERTIFICATE_VERIFY_FAILED")


def test_a_stopped_site_and_a_stopped_comfyui_are_seen(lab: Lab) -> None:
    lab.windows("site-stopped", "microsoft.iis.website", name=PUBLIC_NAME, state="stopped")
    lab.guest("comfyui-stopped", "docker stop comfyui-qwen")
    done = lab.verify("stopped-seen", "started or healthy")
    turns_red(done, "test_the_site_of_the_public_name_is_started", "stopped")
    turns_red(done, "test_the_container_is_healthy[comfyui-qwen]", "expected: healthy", "its last lines:")


def test_a_comfyui_that_cannot_start_is_shown_by_its_last_lines(lab: Lab) -> None:
    """The toolkit is registered, but injects nothing: ComfyUI finds no card and ends."""
    lab.guest("toolkit-broken", f"mv {RUNTIME} {RUNTIME}.aside; ln -s $(command -v runc) {RUNTIME}")
    try:
        done = lab.play("comfyui-cannot-start", "-e", "comfyui_service_start_seconds=20")
    finally:
        lab.guest("toolkit-repaired", f"mv {RUNTIME}.aside {RUNTIME}")
    assert done.code != 0, done
    words = ("found: container comfyui-qwen did not get healthy", "Found no NVIDIA driver", "next step: ")
    assert not [word for word in words if word not in done.output], done


def test_a_deployment_repairs_all_of_it(lab: Lab) -> None:
    repaired = lab.make("repair", "deploy").ended_well()
    assert min(repaired.changed().values()) > 0, repaired
