"""Uploads whose form is right and that ComfyUI cannot keep: it is told why, where that can be told."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from comfystack_api import forms, unkept
from comfystack_api.comfyui import Comfyui
from PIL import Image

from tests.contract.server import Answer, Server

from .conftest import Service
from .test_uploads import KIND, file, form, send, text


def png(size: tuple[int, int] = (8, 8), mode: str = "RGBA") -> bytes:
    picture = io.BytesIO()
    Image.effect_noise(size, 50).convert(mode).save(picture, "PNG")
    return picture.getvalue()


def mask(content: bytes, of: str = "photo.png", folder: str = "", **more: str) -> bytes:
    original = {"filename": of, "type": "input", "subfolder": folder}
    reference = text("original_ref", json.dumps(original))
    fields = [text(name, value) for name, value in more.items()]
    return form(file("masked.png", content), reference, text("overwrite", "1"), *fields)


# What is sent, to which route, and the field that the answer names.
WRONG = {
    "a folder that has the file's name": ("image", form(file("taken")), "image"),
    "the same with overwrite": ("image", form(file("taken"), text("overwrite", "true")), "image"),
    "one in a folder": ("image", form(file("deeper"), text("subfolder", "taken")), "image"),
    "one where results are": ("image", form(file("taken"), text("type", "output")), "image"),
    "a file where subfolder should be": ("image", form(file(), text("subfolder", "photo.png")), "subfolder"),
    "one further up": ("image", form(file(), text("subfolder", "taken//a.txt/../a.txt/b/c")), "subfolder"),
    "a mask below a file": ("mask", mask(png(), subfolder="photo.png"), "subfolder"),
    "a mask of another size": ("mask", mask(png((8, 9))), "image"),
    "a mask whose end is missing": ("mask", mask(png((99, 99))[:-2000], "large.png"), "image"),
    "a mask with other bytes in it": ("mask", mask(png()[:60] + b"x" * 60), "image"),
    "a mask that is a beginning": ("mask", mask(png()[:8]), "image"),
    "a mask of a text": ("mask", mask(png(), "a.txt", "taken"), "original_ref"),
    "a mask of a damaged picture": ("mask", mask(png(), "half.png"), "original_ref"),
}


@pytest.fixture
def furnished(comfyui: Server) -> Server:
    assert comfyui.base is not None
    for folder in ("input/taken/deeper", "output/taken", "temp/taken"):
        (comfyui.base / folder).mkdir(parents=True, exist_ok=True)
    pictures = comfyui.base / "input"
    (pictures / "taken" / "a.txt").write_text("no picture")
    (pictures / "photo.png").write_bytes(png(mode="RGB"))
    (pictures / "large.png").write_bytes(png((99, 99)))
    (pictures / "half.png").write_bytes(png((99, 99))[:-2000])
    return comfyui


def names(comfyui: Server) -> set[Path]:
    assert comfyui.base is not None
    return set(comfyui.base.rglob("*"))


def kind(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json()["error"]["type"]


@pytest.mark.parametrize("case", WRONG)
def test_it_is_a_400_that_says_which_field_and_leaves_nothing(
    with_comfyui: Service, furnished: Server, case: str
) -> None:
    route, body, param = WRONG[case]
    before = names(furnished)
    answer = send(with_comfyui, body, route=route)
    assert (*kind(answer), answer.json()["error"]["param"]) == (400, "invalid_form", param)
    assert names(furnished) - before == set()


@pytest.mark.parametrize("case", WRONG)
def test_it_is_comfyuis_own_500_without_the_service(furnished: Server, case: str) -> None:
    route, body, _ = WRONG[case]
    assert furnished.ask("POST", f"/upload/{route}", body, {"Content-Type": KIND}).status == 500


def test_the_sizes_are_said(with_comfyui: Service, furnished: Server) -> None:
    told = send(with_comfyui, mask(png((8, 9))), route="mask").text
    assert "a mask of 8 x 9 pixels for a picture of 8 x 8" in told


def test_a_right_mask_is_kept(with_comfyui: Service, furnished: Server) -> None:
    assert send(with_comfyui, mask(png()), route="mask").status == 200


@pytest.mark.parametrize("reads", [True, False])
@pytest.mark.parametrize("sent", [("image", form(file("new.png"))), ("mask", mask(png()))])
def test_a_disk_that_is_full_is_no_fault_of_the_upload(
    with_comfyui: Service,
    furnished: Server,
    monkeypatch: pytest.MonkeyPatch,
    sent: tuple[str, bytes],
    reads: bool,
) -> None:
    async def upload(_: Comfyui, path: str, kind: str, body: AsyncIterator[bytes]) -> tuple[int, str, bytes]:
        if reads:
            assert [part async for part in body]
        return 500, "text/plain", b"No space left on device"

    monkeypatch.setattr(Comfyui, "upload", upload)
    assert kind(send(with_comfyui, sent[1], route=sent[0])) == (500, "not_kept")


class TestWhatCannotBeTold:
    def test_a_folder_where_the_service_has_none(self, with_comfyui: Service, furnished: Server) -> None:
        answer = send(with_comfyui, form(file("taken"), text("type", "temp")))
        assert kind(answer) == (500, "not_kept")

    @pytest.mark.parametrize(
        "limit", [(forms, "MASK_BYTES", 100), (unkept, "_size", lambda _: (10**5, 10**5))]
    )
    def test_a_mask_that_is_too_large_to_look_at(
        self,
        with_comfyui: Service,
        furnished: Server,
        monkeypatch: pytest.MonkeyPatch,
        limit: tuple[object, str, object],
    ) -> None:
        monkeypatch.setattr(*limit)
        body = WRONG["a mask whose end is missing"][1]
        assert kind(send(with_comfyui, body, route="mask")) == (500, "not_kept")
