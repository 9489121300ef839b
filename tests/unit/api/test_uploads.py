"""Uploads through the service: ComfyUI's own error 500 about a form is a 400 here, and nothing of it is kept."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from comfystack_api import forms
from comfystack_api.forms import FOLDER_BYTES, NAME_BYTES, TEXT_BYTES, Form, WrongForm
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from python_multipart.exceptions import MultipartParseError

from tests.contract.server import Answer, Server

from .conftest import Service

BOUNDARY = "--b"
KIND = f"multipart/form-data; boundary={BOUNDARY}"
PNG = b"\x89PNG\r\n\x1a\n..."
PICTURE = b"\x89PNG\r\n" + bytes(range(256)) * 1000
REFERENCE = json.dumps({"filename": "none.png", "type": "input", "subfolder": ""})


def part(head: str, content: bytes) -> bytes:
    return f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode("utf-8", "surrogateescape") + content + b"\r\n"


def text(name: str, value: str, more: str = "") -> bytes:
    return part(f'Content-Disposition: form-data; name="{name}"{more}', value.encode())


def file(name: str = "x.png", content: bytes = b"x", field: str = "image", more: str = "") -> bytes:
    return part(f'Content-Disposition: form-data; name="{field}"; filename="{name}"{more}', content)


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def mask(name: str = "mask.png", reference: str | None = REFERENCE) -> bytes:
    return form(file(name, PNG), *([] if reference is None else [text("original_ref", reference)]))


RIGHT = {
    "a file": form(file()),
    "all fields, before the file": form(
        text("type", "temp"), text("subfolder", "a/b"), text("overwrite", "1"), file()
    ),
    "all fields, behind the file": form(
        file(), text("type", "output"), text("subfolder", ""), text("overwrite", "true")
    ),
    "a field that nobody knows": form(file(), text("colour", "é")),
    "a name as other libraries write it": form(
        part("Content-Disposition: form-data; name=image; filename*=utf-8''%C3%A9.png", b"x")
    ),
    "a name of other letters": form(file("ж é.png")),
    "a name that nobody can read": form(file("\udcff.png")),
    "a folder that is none yet": form(file(), text("subfolder", "new/er")),
    "a text with its type": form(
        file(), text("type", "input", "\r\nContent-Type: text/plain; charset=UTF-8")
    ),
    "the longest name": form(file("n" * NAME_BYTES)),
}
# What is wrong with a form, the field that the answer names, and what ComfyUI itself answers.
WRONG = {
    "a type that there is not": (form(file(), text("type", "secret")), "type", 500),
    "no type": (form(file(), text("type", "")), "type", 500),
    "a type that is a file": (form(file(), file(field="type")), "type", 500),
    "a type that is no text": (
        form(file(), text("type", "input", "\r\nContent-Type: application/json")),
        "type",
        500,
    ),
    "a folder in the name": (form(file("none/x.png")), "image", 500),
    "the folder above": (form(file("../x.png")), "image", 400),
    "a name of the folder itself": (form(file("..")), "image", 400),
    "a control character in the name": (form(file("x\t.png")), "image", 200),
    "a zero in the name": (
        form(part("Content-Disposition: form-data; name=image; filename*=utf-8''x%00.png", b"x")),
        "image",
        500,
    ),
    "a name that is too long": (form(file("n" * 300)), "image", 500),
    "a folder that is too long": (form(file(), text("subfolder", "n" * 300)), "subfolder", 500),
    "folders that are too long": (form(file(), text("subfolder", "n/" * 3000)), "subfolder", 500),
    "a zero in the folder": (form(file(), text("subfolder", "a\0b")), "subfolder", 500),
    "no file": (form(text("type", "input")), "image", 400),
    "a text in place of the file": (form(text("image", "x.png")), "image", 400),
    "a part without a name": (form(file(), part("Content-Disposition: form-data", b"x")), None, 500),
    "a field that is no UTF-8": (
        form(file(), part('Content-Disposition: form-data; name="a"', b"\xff")),
        "a",
        500,
    ),
    "letters that nobody knows": (
        form(file(), text("a", "b", "\r\nContent-Type: text/plain; charset=klingon")),
        "a",
        500,
    ),
    "a form in other letters": (form(text("_charset_", "klingon"), text("a", "b"), file()), "_charset_", 500),
    "an encoding that there is not": (
        form(file(more="\r\nContent-Transfer-Encoding: rot13")),
        "image",
        500,
    ),
    "a form within the form": (
        form(file(), text("a", "b", "\r\nContent-Type: multipart/mixed; boundary=c")),
        "a",
        500,
    ),
    "zeros": (bytes(1 << 20), None, 500),
    # ComfyUI waits for the rest; where the body is over, what it does depends on where.
    "a form that breaks off": (form(file(content=PICTURE))[:-9], None, 0),
}
WRONG_MASKS = {
    "no picture that it is for": (mask(reference=None), "original_ref", 500),
    "a reference that is no JSON": (mask(reference="x"), "original_ref", 500),
    "a reference that is a list": (mask(reference="[]"), "original_ref", 500),
    "a reference without a name": (mask(reference="{}"), "original_ref", 500),
    "a name that is a number": (mask(reference='{"filename": 1}'), "original_ref", 500),
    "a folder that is a number": (
        mask(reference='{"filename": "x", "type": "input", "subfolder": 1}'),
        "original_ref",
        500,
    ),
    "a picture that has no transparency": (mask("mask.jpg"), "image", 200),
    "a PNG in two files": (
        form(file("m.png", PNG[:4]), file("n.png", PNG[4:]), text("original_ref", REFERENCE)),
        "image",
        200,
    ),
    "a text in place of a picture": (form(file(), text("original_ref", REFERENCE)), "image", 200),
}


def names(comfyui: Server) -> set[Path]:
    assert comfyui.base is not None
    folders = [comfyui.base / kind for kind in ("input", "output", "temp")]
    return {path for folder in folders for path in folder.rglob("*") if path.is_file()}


def send(service: Service, body: bytes, kind: str = KIND, route: str = "image", who: str = "ann") -> Answer:
    return service.ask("POST", f"/_uploads/upload/{route}", who, body, Content_Type=kind)


@pytest.mark.parametrize("case", RIGHT)
def test_a_right_form_goes_through_as_it_is(with_comfyui: Service, comfyui: Server, case: str) -> None:
    straight = comfyui.ask("POST", "/upload/image", RIGHT[case], {"Content-Type": KIND})
    through = send(with_comfyui, RIGHT[case])
    assert (straight.status, through.status) == (200, 200), through.text
    assert through.json() == straight.json()


def test_a_file_arrives_whole_and_with_its_answer(with_comfyui: Service, comfyui: Server) -> None:
    large = PICTURE * 40
    answer = send(with_comfyui, form(file("large.png", large)))
    assert answer.json() == {"name": "large.png", "subfolder": "", "type": "input"}
    assert comfyui.base is not None
    assert (comfyui.base / "input" / "large.png").read_bytes() == large


@pytest.mark.parametrize("case", [*WRONG, *WRONG_MASKS])
def test_a_wrong_form_is_a_400_that_says_which_field_and_nothing_of_it_is_kept(
    with_comfyui: Service, comfyui: Server, case: str
) -> None:
    route = "image" if case in WRONG else "mask"
    body, param, _ = {**WRONG, **WRONG_MASKS}[case]
    before = names(comfyui)
    answer = send(with_comfyui, body, route=route)
    assert answer.status == 400, answer.text
    error = answer.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_form", param)
    assert error["message"].startswith("found ")
    assert "expected " in error["message"]
    assert names(comfyui) == before


@pytest.mark.parametrize("case", [case for case, (_, _, status) in WRONG.items() if status == 500])
def test_it_is_comfyuis_own_500_without_the_service(comfyui: Server, case: str) -> None:
    assert comfyui.ask("POST", "/upload/image", WRONG[case][0], {"Content-Type": KIND}).status == 500


def test_a_mask_goes_through(with_comfyui: Service, comfyui: Server) -> None:
    assert comfyui.base is not None
    pictures = [io.BytesIO() for _ in range(2)]
    for picture, transparency in zip(pictures, (255, 0), strict=True):
        Image.new("RGBA", (8, 8), (1, 2, 3, transparency)).save(picture, "PNG")
    original, transparent = (picture.getvalue() for picture in pictures)
    assert send(with_comfyui, form(file("original.png", original))).status == 200
    reference = text("original_ref", json.dumps({"filename": "original.png", "type": "input"}))
    assert send(with_comfyui, form(file("m.png", transparent), reference), route="mask").status == 200
    with Image.open(comfyui.base / "input" / "m.png") as made:
        assert made.getpixel((0, 0)) == (1, 2, 3, 0)


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "multipart/form-data", "application/x-www-form-urlencoded", KIND + "x" * 300]
)
def test_a_body_that_says_it_is_no_form_is_told(service: Service, kind: str) -> None:
    answer = send(service, b"image=x", kind)
    assert (answer.status, answer.json()["error"]["type"]) == (400, "invalid_form")


class TestWhoMayUpload:
    def test_everybody_who_has_a_token(self, with_comfyui: Service) -> None:
        assert [send(with_comfyui, form(file()), who=who).status for who in ("ann", "operator")] == [200, 200]

    def test_nobody_else_and_the_whole_body_is_taken_before_it_is_said(self, service: Service) -> None:
        assert send(service, form(file(content=PICTURE * 40)), who="0" * 64).status == 401

    def test_an_address_that_is_none(self, service: Service) -> None:
        assert send(service, form(file()), route="other").status == 404

    def test_a_comfyui_that_is_away_is_told(self, service: Service) -> None:
        answer = send(service, form(file(content=PICTURE * 40)))
        assert (answer.status, answer.json()["error"]["type"]) == (502, "unavailable")


def fed(body: bytes, size: int) -> None:
    reading = Form(KIND, mask=False)
    for start in range(0, len(body), size):
        reading.feed(body[start : start + size])
    reading.end()


@pytest.mark.parametrize("size", [1, 2, 7, 1 << 20])
def test_it_does_not_matter_how_the_body_is_cut(size: int) -> None:
    for body in RIGHT.values():
        fed(body, size)
    for case, (body, _, _) in WRONG.items():
        if case != "zeros" or size > 2:
            with pytest.raises(WrongForm):
                fed(body, size)


def test_a_text_that_never_ends_is_not_held() -> None:
    endless = Form(KIND, mask=False)
    endless.feed(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="a"\r\n\r\n'.encode())
    for _ in range(TEXT_BYTES // 16):
        endless.feed(b"x" * 16)
    with pytest.raises(WrongForm, match=str(TEXT_BYTES)):
        endless.feed(b"x" * 16)


@settings(report_multiple_bugs=False)
@given(st.binary(max_size=200), st.sampled_from([b"", form(file()), file()]))
def test_whatever_comes_is_taken_or_told(noise: bytes, before: bytes) -> None:
    try:
        fed(before + noise, 50)
    except WrongForm as wrong:
        told = str(wrong)
    else:
        told = ""
    assert told.isprintable()


def test_a_parser_whose_errors_nobody_takes_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "FormParserError", WrongForm)
    with pytest.raises(MultipartParseError):
        test_whatever_comes_is_taken_or_told()


def test_the_limits_fit_a_file_system() -> None:
    assert NAME_BYTES + len(" (9999)") < 255
    assert FOLDER_BYTES + NAME_BYTES < 4096 - 255
