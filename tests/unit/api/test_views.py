"""Pictures that ComfyUI makes of a file: handed on as they are, and a 400 where it has its own error 500."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.contract.server import Server

from .conftest import Service
from .test_unkept import png

WRONG = {
    "a preview of a text": "filename=a.txt&preview=webp;90",
    "a preview without a value": "filename=a.txt&preview",
    "a name that is written otherwise": "filename=a.txt&p%72eview=",
    "colours of a text": "filename=a.txt&channel=rgb",
    "transparency of a text": "filename=a.txt&channel=a",
    "a picture that is damaged": "filename=half.png&channel=rgb",
    "a quality that is none": "filename=photo.png&preview=webp;%C2%B2",
}
SAME = (
    "filename=photo.png&preview=webp;50",
    "filename=photo.png&preview=jpeg;50&channel=rgb",
    "filename=photo.png&channel=a",
    "filename=photo.png&channel=other",
    "filename=page.html&channel=other",
    "filename=none.png&preview=webp",
    "filename=../photo.png&preview=webp",
    "filename=photo.png&subfolder=../..&preview=webp",
)
HANDED_ON = ("content-type", "content-length", "content-disposition", "x-content-type-options", "vary")


@pytest.fixture(autouse=True)
def files(comfyui: Server) -> Path:
    assert comfyui.base is not None
    folder = comfyui.base / "output"
    folder.mkdir(exist_ok=True)
    (folder / "a.txt").write_text("no picture")
    (folder / "page.html").write_text("<p>")
    (folder / "half.png").write_bytes(png((99, 99))[:-2000])
    (folder / "photo.png").write_bytes(png())
    return folder


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_picture_is_told(with_comfyui: Service, case: str) -> None:
    answer = with_comfyui.ask("GET", f"/_views/view?{WRONG[case]}", "ann")
    assert (answer.status, answer.json()["error"]["type"]) == (400, "no_picture")
    assert "ask without preview and channel" in answer.json()["error"]["message"]


@pytest.mark.parametrize("case", WRONG)
def test_it_is_comfyuis_own_500_without_the_service(comfyui: Server, case: str) -> None:
    assert comfyui.ask("GET", f"/view?{WRONG[case]}").status == 500


@pytest.mark.parametrize("query", SAME)
def test_all_else_is_as_from_comfyui_itself(with_comfyui: Service, comfyui: Server, query: str) -> None:
    straight = comfyui.ask("GET", f"/view?{query}")
    through = with_comfyui.ask("GET", f"/_views/view?{query}", "ann")
    assert (through.status, through.content) == (straight.status, straight.content)
    # What has no type at ComfyUI, such as a 404, gets none here.
    for name in HANDED_ON:
        assert through.headers.get(name) == straight.headers.get(name), name


def test_a_large_one_comes_whole(with_comfyui: Service, files: Path) -> None:
    Image.effect_noise((2000, 2000), 50).save(files / "large.png")
    answer = with_comfyui.ask("GET", "/_views/view?filename=large.png&channel=rgb", "ann")
    assert answer.picture().size == (2000, 2000)
    assert len(answer.content) > 2_000_000


def test_only_the_head_of_it_has_the_same_status(with_comfyui: Service) -> None:
    found = [
        with_comfyui.ask("HEAD", f"/_views/view?filename={name}&preview=webp", "ann")
        for name in ("photo.png", "a.txt")
    ]
    assert [(one.status, one.content) for one in found] == [(200, b""), (400, b"")]


class TestWhoMayLook:
    def test_nobody_without_a_token(self, with_comfyui: Service) -> None:
        assert with_comfyui.ask("GET", "/_views/view?filename=photo.png&preview=webp").status == 401

    def test_a_token_in_the_address_goes_no_further(
        self, with_comfyui: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[str] = []

        async def view(_: object, query: str) -> None:
            asked.append(query)
            raise OSError

        monkeypatch.setattr("comfystack_api.comfyui.Comfyui.view", view)
        token = "ann-" + "a" * 40
        path = f"/_views/view?token={token}&filename=photo.png&preview=webp"
        assert with_comfyui.ask("GET", path).status == 502
        assert asked == ["filename=photo.png&preview=webp"]

    def test_a_comfyui_that_is_away_is_told(self, service: Service) -> None:
        answer = service.ask("GET", "/_views/view?filename=photo.png&preview=webp", "ann")
        assert (answer.status, answer.json()["error"]["type"]) == (502, "unavailable")
