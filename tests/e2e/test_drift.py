"""On a site that somebody has changed, a check shows what was changed and a deployment puts it right."""

from __future__ import annotations

import re

from .last_words import CHANGES, told
from .running import Done
from .site import Lab
from .states import guest, windows


def test_a_check_of_a_drifted_site_shows_exactly_the_drift(lab: Lab, deployed: Done) -> None:
    """Two things that somebody did on the Docker host, and one on Windows."""
    lab.guest(
        "drift",
        "docker stop comfyui-qwen; sed -i 's/worker_connections 1024/worker_connections 512/'"
        " /opt/comfystack/edge/conf/nginx.conf",
    )
    lab.windows("drift-windows", "ansible.windows.win_service", name="iphlpsvc", start_mode="manual")
    before = guest(lab, "before-drift-check"), windows(lab)
    done = lab.make("check-drift", "deploy", CHECK="1")
    assert (guest(lab, "after-drift-check"), windows(lab)) == before
    assert told(done, CHANGES) == [
        "windows-host",
        "wsl_host : The service behind the port proxy runs",
        "gpu-host",
        "comfyui_service : ComfyUI is up with this image, card and configuration",
        "edge_proxy : The configuration is in place",
    ]
    for line in (r"-\s+worker_connections 512;", r"\+\s+worker_connections 1024;"):
        assert re.search(rf"^{line}$", done.output, re.MULTILINE), done
    repaired = lab.make("drift-repaired", "deploy").ended_well()
    assert min(repaired.changed().values()) > 0, repaired
    assert told(lab.make("check-repaired", "deploy", CHECK="1"), CHANGES) == []
