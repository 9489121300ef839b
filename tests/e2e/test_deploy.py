"""One command ends in a running service, says how to get in, and can be run again without changing anything."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from tests.lab.names import FORGE_NAMES, PUBLIC_NAME

from .running import Done, bare_environment, run
from .site import BIN, Lab

SIZE = (320, 240)


@pytest.fixture
def closing_words(deployed: Done) -> list[str]:
    """What `make deploy` printed after its last test run."""
    return deployed.output.rpartition(" passed in ")[2].splitlines()


def test_the_public_url_and_the_tokens_file_are_printed_at_the_end(
    lab: Lab, closing_words: list[str]
) -> None:
    assert f"The service is at https://{PUBLIC_NAME}" in closing_words
    assert f"Token: {lab.build / 'token'}" in closing_words


def test_the_printed_curl_line_works_when_it_is_pasted(closing_words: list[str]) -> None:
    (line,) = [words for words in closing_words if " curl " in words]
    pasted = run("curl-line", ["bash", "-c", line], bare_environment(), 60).ended_well()
    assert json.loads(pasted.output)["devices"][0]["name"].startswith("cuda:0 NVIDIA GeForce RTX 3090")


def test_the_access_facts_say_all_that_a_script_needs(lab: Lab, deployed: Done) -> None:
    access = lab.access
    assert access["url"] == f"https://{PUBLIC_NAME}"
    assert access["names"] == [PUBLIC_NAME, *FORGE_NAMES]
    assert set(access["connect_to"]) == set(access["names"])
    host, _, port = access["connect_to"][PUBLIC_NAME].rpartition(":")
    assert host == "127.0.0.1"
    assert 0 < int(port) < 65536
    assert "BEGIN CERTIFICATE" in Path(access["ca_file"]).read_text()
    assert Path(access["token_file"]).read_text().strip()


def test_only_its_owner_can_read_the_token(lab: Lab, deployed: Done) -> None:
    assert stat.S_IMODE(Path(lab.access["token_file"]).stat().st_mode) == 0o600


def test_a_photo_goes_in_and_an_edited_one_comes_out(lab: Lab, deployed: Done, tmp_path: Path) -> None:
    photo, edited = tmp_path / "photo.png", tmp_path / "edited.png"
    Image.merge("RGB", [Image.linear_gradient("L").rotate(turn).resize(SIZE) for turn in (0, 90, 180)]).save(
        photo
    )
    command = [
        str(BIN / "comfystack"),
        "edit",
        str(photo),
        "--prompt",
        "make it winter",
        "--out",
        str(edited),
    ]
    run("edit", [*command, "--access", str(lab.access_file)], bare_environment(), 120).ended_well()
    with Image.open(edited) as image, Image.open(photo) as original:
        image.load()
        assert image.format == "PNG"
        difference = ImageChops.difference(image.convert("RGB"), original.convert("RGB").resize(image.size))
    assert difference.getbbox() is not None, "the edited image is the photo itself"


def test_a_second_deploy_changes_nothing(lab: Lab, deployed: Done) -> None:
    again = lab.make("deploy-again", "deploy").ended_well()
    assert again.changed() == {"gpu-host": 0, "windows-host": 0}, again
    assert os.access(lab.access_file, os.R_OK)
