"""`make deploy CHECK=1`: look before you leap. It shows what would happen, and nothing happens."""

from __future__ import annotations

from .last_words import CHANGES, UNFORESEEN, told
from .site import Lab
from .states import guest, windows


def test_a_check_of_a_fresh_site_changes_nothing_and_says_what_it_cannot_foresee(fresh: Lab) -> None:
    before = guest(fresh, "before-check"), windows(fresh)
    # There already, where an earlier deployment's lab has crashed.
    access = fresh.access_file.read_bytes() if fresh.access_file.exists() else None
    done = fresh.make("check-fresh", "deploy", CHECK="1")
    assert (guest(fresh, "after-check"), windows(fresh)) == before
    assert "api_service : The tokens' digests are in place" in told(done, CHANGES)
    unforeseen = told(done, UNFORESEEN)
    for stage in (
        "docker_engine : The engine, Compose and BuildKit are installed",
        "comfyui_image : The image is built",
        "comfyui_service : ComfyUI is up with this image, card and configuration",
        "iis_gateway : Nothing more can be foretold before IIS is there, nor what comes after it in this role",
    ):
        assert stage in unforeseen
    assert (fresh.access_file.read_bytes() if fresh.access_file.exists() else None) == access
    assert "The service is at" not in done.output
    assert not [name for name in ("token", "windows-password") if fresh.secret(name) in done.output]
