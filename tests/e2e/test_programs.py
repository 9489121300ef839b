"""Programs that know nothing of this project work through the public name, with nothing but a token added."""

from __future__ import annotations

from pathlib import Path

import pytest
from comfystack import graphs, lessons
from PIL import Image

from tests.lab.names import PUBLIC_NAME, ROOT
from tests.unit.docs import pages

from .public import ask, say
from .running import Done, bare_environment, run
from .site import BIN, Lab

EXAMPLES = ROOT / "docs" / "examples"
REFERENCE = ROOT / "docs" / "api-reference.md"
OPENAI = ROOT / "docs" / "openai-api.md"
# Ends what hangs.
SECONDS = 120
OLD_NOTEBOOKS = "0a1b2c3d-0000-4000-8000-00000000aaaa"


def example(lab: Lab, name: str, *arguments: str) -> Done:
    """One of docs/examples, led to the lab as docs/api-reference.md says."""
    environment = bare_environment(
        PYTHONPATH=str(EXAMPLES / "lab"), COMFYSTACK_ACCESS=str(lab.access_file), NO_PROXY=PUBLIC_NAME
    )
    command = [str(BIN / "python"), str(EXAMPLES / name), PUBLIC_NAME, str(lab.build / "token"), *arguments]
    return run(name, command, environment, SECONDS).ended_well()


@pytest.mark.parametrize("name", ["follow.py", "over_the_socket.py"])
def test_comfyuis_own_websocket_examples_bring_a_picture(
    lab: Lab, deployed: Done, tmp_path: Path, name: str
) -> None:
    out = tmp_path / "out.png"
    example(lab, name, str(out))
    with Image.open(out) as picture:
        picture.load()
        assert (picture.format, picture.size) == ("PNG", (1328, 1328))


def test_comfyuis_basic_example_queues_a_job(lab: Lab, deployed: Done) -> None:
    prompt_id = example(lab, "submit.py").output.strip()
    with lessons.connect(str(lab.access_file)) as client:
        # Followed, not made again: the server knows this id.
        result = client.run({}, prompt_id=prompt_id)
        assert result.images
        assert client.history(prompt_id)["prompt"][2]["positive"]["inputs"]["text"] == "a lighthouse at dusk"


def test_a_program_that_can_set_no_header_brings_its_token_in_the_address(lab: Lab, deployed: Done) -> None:
    token = lab.secret("token")
    address = f"/system_stats?a=1&token={token}"
    assert ask(lab, "GET", address).status == 200
    graph = say({"prompt": graphs.load("text-to-image-lightning"), "prompt_id": OLD_NOTEBOOKS})
    assert ask(lab, "POST", f"/prompt?token={token}", body=graph).status == 200
    with lessons.connect(str(lab.access_file)) as client:
        assert client.run({}, prompt_id=OLD_NOTEBOOKS).images


@pytest.mark.parametrize(("page", "words"), [(REFERENCE, "success "), (OPENAI, "comfystack_comfyui_up 1.0")])
def test_every_curl_line_of_the_documentation_works_as_it_stands(
    lab: Lab, deployed: Done, tmp_path: Path, page: Path, words: str
) -> None:
    """Typed into one shell after another, in a checkout whose lab is this one."""
    checkout = tmp_path / "checkout"
    (checkout / "build").mkdir(parents=True)
    (checkout / "build" / "lab").symlink_to(lab.build)
    (checkout / "comfyui").symlink_to(ROOT / "comfyui")
    Image.radial_gradient("L").convert("RGB").resize((320, 240)).save(checkout / "photo.jpg")
    blocks = [block.text for block in pages.blocks(page, "sh")]
    lines = "\n".join(blocks)
    elsewhere = [block.text for block in pages.blocks(page) if block.language != "sh"]
    assert "curl -" not in "".join(elsewhere), "a line that is not typed here"
    # The page says the port that the first lab gets.
    there = lab.access["connect_to"][PUBLIC_NAME]
    assert "127.0.0.1:8443" in lines
    settings = lab.build / "curl.conf"
    said = ""
    try:
        for number, block in enumerate(blocks):
            text = f"service=https://{PUBLIC_NAME}\n{block.replace('127.0.0.1:8443', there)}"
            said += _typed(f"curl-{number}", text, checkout)
    finally:
        settings.unlink(missing_ok=True)
    assert words in said
    with Image.open(checkout / "winter.png") as picture:
        assert (picture.format, picture.size) == ("PNG", (1184, 880))


def _typed(title: str, text: str, folder: Path) -> str:
    command = ["bash", "-euo", "pipefail", "-c", text]
    return run(title, command, bare_environment(), SECONDS, folder=folder).ended_well().output
