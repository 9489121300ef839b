"""A new version that never gets healthy: the one before it comes back, and the message says so."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from .running import Done
from .site import Lab

BARE = "/srv/broken.git"


@pytest.fixture(scope="module")
def broken_lock(lab: Lab, deployed: Done, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sources lock that pins ComfyUI to a commit that ends as soon as it is started."""
    lab.guest(
        "broken-version",
        f"rm -rf {BARE} /srv/broken; git clone -q /opt/comfystack/comfyui-image/ComfyUI /srv/broken\n"
        "cd /srv/broken; printf 'raise SystemExit(\"this version is broken\")\\n' >main.py\n"
        "git -c user.name=lab -c user.email=lab@comfystack.test commit -qam 'Break it'\n"
        f"git clone -q --bare /srv/broken {BARE}",
    )
    commit = lab.guest("broken-commit", f"git -C {BARE} rev-parse HEAD").split()[-1]
    lock = yaml.safe_load((lab.build / "sources.lock.yml").read_text())
    lock["comfyui"] |= {"commit": commit, "repository": BARE}
    path = tmp_path_factory.mktemp("broken") / "sources.lock.yml"
    path.write_text(yaml.safe_dump(lock, sort_keys=False))
    return path


def image(lab: Lab, title: str) -> str:
    """Image of the running ComfyUI."""
    script = "docker inspect -f '{{.State.Health.Status}} {{.Config.Image}}' comfyui-qwen"
    return lab.guest(title, script).strip()


def test_the_version_before_serves_on_and_the_message_says_so(lab: Lab, broken_lock: Path) -> None:
    before = image(lab, "image-before")
    done = lab.play(
        "broken-version-deployed",
        "-e",
        f"comfyui_image_sources_lock={broken_lock}",
        "-e",
        "comfyui_service_start_seconds=30",
    )
    assert done.code != 0, done
    for words in (
        "found: container comfyui-qwen did not get healthy",
        "this version is broken",
        f"serving now: the version before it, {before.split()[1]}, which is back and healthy",
        "next step: ",
    ):
        assert words in done.output, done
    assert image(lab, "image-after") == before
    lab.verify("served-by-the-version-before", "token_opens or edit").ended_well()


def test_an_edge_that_does_not_start_gives_way_to_the_one_before(lab: Lab, deployed: Done) -> None:
    """It is to listen on an address that the host does not have."""
    done = lab.play("edge-that-cannot-start", "-e", "edge_proxy_bind_address=192.0.2.1")
    assert done.code != 0, done
    for words in (
        "found: the edge does not run as it should",
        "serving now: the version before it",
        "healthy",
    ):
        assert words in done.output, done
    lab.verify("served-by-the-edge-before", "token_opens").ended_well()


def test_the_next_good_deployment_finds_everything_in_its_place(lab: Lab, broken_lock: Path) -> None:
    lab.make("after-going-back", "deploy").ended_well()
    again = lab.make("after-going-back-again", "deploy").ended_well()
    assert again.changed() == {"gpu-host": 0, "windows-host": 0}, again
