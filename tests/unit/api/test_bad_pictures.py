"""Bad input to /v1/images: each with its status and its words, and never a 500."""

from __future__ import annotations

import io
import json
import socket
import struct
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import comfystack
import pytest
from comfystack_api.images.refusals import of_error
from comfystack_api.state import State
from PIL import Image

from tests.contract.server import Answer, Server, free_port, simulator, wait_for
from tests.contract.weights import lay_models

from .conftest import TOKENS, Service, exchanging, running
from .test_openai import drawn, masked

GENERATIONS, EDITS = "/v1/images/generations", "/v1/images/edits"
PIXELS = 1_000_000
BYTES = 3_000_000


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, comfyui: Server) -> Iterator[Service]:
    limits = {"image_pixels": PIXELS, "upload_bytes": BYTES, "requests_per_minute": 1000}
    with running(tmp_path_factory.mktemp("service"), comfyui.url, **exchanging(comfyui), **limits) as started:
        yield started


def generate(service: Service, who: str | None = "ann", **fields: Any) -> Answer:
    return service.post(GENERATIONS, {"prompt": "a", "steps": 1, "size": "256x256", **fields}, who)


def edit(service: Service, form: dict[str, Any], who: str = "ann") -> Answer:
    """`form` has texts, files as bytes, and lists of them."""
    boundary = "b0undary"
    parts = []
    for name, value in {"prompt": "a", "steps": "1", "size": "256x256", **form}.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, bytes):
                head, content = '; filename="x.png"\r\nContent-Type: image/png', one
            else:
                head, content = "", str(one).encode()
            parts.append(
                f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{head}\r\n\r\n'.encode()
                + content
                + b"\r\n"
            )
    body = b"".join(parts) + f"--{boundary}--\r\n".encode()
    return service.ask("POST", EDITS, who, body, Content_Type=f"multipart/form-data; boundary={boundary}")


def told(answer: Answer, status: int, code: str, param: str | None) -> None:
    """The answer is OpenAI's error with these values, and has a sentence in it."""
    error = answer.json()["error"]
    assert (answer.status, error["code"], error["param"]) == (status, code, param), answer.text
    assert set(error) == {"message", "type", "param", "code"}
    assert len(error["message"]) > 10


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it is so large."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def animation(kind: str) -> bytes:
    buffer = io.BytesIO()
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "green")]
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


class TestWhoAsks:
    @pytest.mark.parametrize("path", [GENERATIONS, EDITS, "/v1/models", "/v1/images/files/x", "/v1/docs"])
    @pytest.mark.parametrize("who", [None, "0" * 64])
    def test_nobody_without_a_token(self, service: Service, path: str, who: str | None) -> None:
        method = "POST" if path in (GENERATIONS, EDITS) else "GET"
        answer = service.ask(method, path, who, b"x" * 100_000 if method == "POST" else None)
        told(answer, 401, "unknown-token" if who else "no-token", None)


class TestFields:
    @pytest.mark.parametrize(
        ("wrong", "status", "code", "param"),
        [
            ({"prompt": ""}, 400, "missing_required_parameter", "prompt"),
            ({"prompt": " \n"}, 400, "missing_required_parameter", "prompt"),
            ({"prompt": None}, 400, "missing_required_parameter", "prompt"),
            ({"prompt": ["a"]}, 400, "invalid_value", "prompt"),
            ({"prompt": "x" * 32_001}, 400, "invalid_value", "prompt"),
            ({"n": 0}, 400, "invalid_value", "n"),
            ({"n": -1}, 400, "invalid_value", "n"),
            ({"n": 11}, 400, "invalid_value", "n"),
            ({"n": 10**30}, 400, "invalid_value", "n"),
            ({"n": "two"}, 400, "invalid_value", "n"),
            ({"n": True}, 400, "invalid_value", "n"),
            ({"n": 1.5}, 400, "invalid_value", "n"),
            ({"model": "dall-e-3"}, 404, "model_not_found", "model"),
            ({"model": "edit"}, 404, "model_not_found", "model"),
            ({"model": "../../etc/passwd"}, 404, "model_not_found", "model"),
            ({"model": "\ud800"}, 404, "model_not_found", "model"),
            ({"model": 7}, 400, "invalid_value", "model"),
            ({"size": "1023x1024"}, 400, "invalid_value", "size"),
            ({"size": "8192x8192"}, 400, "invalid_value", "size"),
            ({"size": "0x0"}, 400, "invalid_value", "size"),
            ({"size": "large"}, 400, "invalid_value", "size"),
            ({"size": "\u0662\u0665\u0666x256"}, 400, "invalid_value", "size"),
            ({"seed": -1}, 400, "invalid_value", "seed"),
            ({"seed": 2**64}, 400, "invalid_value", "seed"),
            ({"steps": 0}, 400, "invalid_value", "steps"),
            ({"steps": 101}, 400, "invalid_value", "steps"),
            ({"cfg": float("nan")}, 400, "invalid_value", "cfg"),
            ({"response_format": "file"}, 400, "invalid_value", "response_format"),
            ({"output_format": "svg"}, 400, "invalid_value", "output_format"),
            ({"background": "transparent"}, 400, "invalid_value", "background"),
            ({"image": "a.png"}, 400, "unknown_parameter", "image"),
            ({"width": 256}, 400, "unknown_parameter", "width"),
            ({"filename_prefix": "../x"}, 400, "unknown_parameter", "filename_prefix"),
            ({"\ud800": 1}, 400, "unknown_parameter", ""),
        ],
    )
    def test_a_wrong_one_is_named(
        self, service: Service, wrong: dict[str, Any], status: int, code: str, param: str
    ) -> None:
        told(generate(service, **wrong), status, code, param)

    @pytest.mark.parametrize(
        "body", [b"", b"{", b"[]", b"1", b"\xff", b"[" * 100_000, b'{"n": 1' + b"0" * 9000]
    )
    def test_a_body_that_is_no_object_is_told(self, service: Service, body: bytes) -> None:
        answer = service.ask("POST", GENERATIONS, "ann", body, Content_Type="application/json")
        told(answer, 400, "invalid_json", None)

    @pytest.mark.parametrize("path", [GENERATIONS, EDITS])
    def test_a_body_of_another_type_is_told(self, service: Service, path: str) -> None:
        told(
            service.ask("POST", path, "ann", b"a=b", Content_Type="text/plain"),
            415,
            "unsupported_media_type",
            None,
        )


class TestUploads:
    @pytest.mark.parametrize(
        ("form", "code", "param"),
        [
            ({}, "missing_required_parameter", "image"),
            ({"image": b""}, "invalid_image", "image"),
            ({"image": b"no picture at all"}, "invalid_image", "image"),
            ({"image": "photo.png"}, "invalid_image", "image"),
            ({"image": b"%PDF-1.7"}, "invalid_image", "image"),
            ({"image": b"GIF89a" + bytes(50)}, "invalid_image", "image"),
            ({"image": b"<svg xmlns='http://www.w3.org/2000/svg'/>"}, "invalid_image", "image"),
            ({"image": drawn()[:-200]}, "invalid_image", "image"),
            ({"image": bomb(8, 8)[:40]}, "invalid_image", "image"),
            ({"image": bomb(1001, 1000)}, "image_too_large", "image"),
            ({"image": bomb(8192, 8192)}, "image_too_large", "image"),
            ({"image": bomb(60_000, 60_000)}, "image_too_large", "image"),
            ({"image": bomb(2**31 - 1, 2**31 - 1)}, "image_too_large", "image"),
            ({"image": bomb(0, 0)}, "invalid_image", "image"),
            ({"image": animation("PNG")}, "invalid_image", "image"),
            ({"image": animation("WEBP")}, "invalid_image", "image"),
            ({"image": [drawn(), b"x"]}, "invalid_image", "image[1]"),
            ({"image": [drawn()] * 4}, "invalid_value", "image"),
            ({"image": drawn(), "other": drawn()}, "unknown_parameter", "other"),
            ({"image": drawn(), "prompt": ""}, "missing_required_parameter", "prompt"),
            ({"image": drawn(), "prompt": ["a", "b"]}, "invalid_value", "prompt"),
            ({"image": drawn(), "n": "0"}, "invalid_value", "n"),
            ({"image": drawn(), "mask": drawn()}, "invalid_image", "mask"),
            ({"image": drawn(), "mask": drawn(kind="JPEG")}, "invalid_image", "mask"),
            ({"image": drawn(), "mask": masked((64, 64))}, "invalid_image", "mask"),
            ({"image": drawn(), "mask": masked(hole=False)}, "invalid_image", "mask"),
            ({"image": drawn(), "mask": masked(), "model": "edit"}, "invalid_value", "mask"),
            ({"image": drawn(), "model": "inpaint"}, "missing_required_parameter", "mask"),
            ({"image": drawn(), "model": "merge-2"}, "invalid_value", "image"),
            ({"image": [drawn()] * 2, "model": "product-showcase"}, "invalid_value", "image"),
        ],
    )
    def test_a_bad_one_is_told_and_nothing_of_it_stays(
        self, service: Service, comfyui: Server, form: dict[str, Any], code: str, param: str
    ) -> None:
        told(edit(service, form), 400, code, param)
        assert [list(folder.iterdir()) for folder in exchanging(comfyui).values()] == [[], []]

    def test_one_that_is_too_large_is_a_413_announced_or_not(self, service: Service) -> None:
        told(edit(service, {"image": b"x" * (BYTES + 1)}), 413, "too_large", None)
        parts = urlparts(service)
        with socket.create_connection(parts) as stream:
            head = (
                f"POST {EDITS} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKENS['ann']}\r\n"
                "Content-Type: multipart/form-data; boundary=b\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            start = b'--b\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n'
            stream.sendall(head.encode())
            for content in (start, b"x" * BYTES):
                stream.sendall(f"{len(content):x}\r\n".encode() + content + b"\r\n")
            assert stream.recv(100).split()[1] == b"413"

    @pytest.mark.parametrize(
        "body", [b"", b"x", b"--b\r\n", b"--b\r\nContent-Disposition: \x00\r\n\r\n\r\n--b--"]
    )
    def test_a_form_that_is_none_is_told(self, service: Service, body: bytes) -> None:
        answer = service.ask("POST", EDITS, "ann", body, Content_Type="multipart/form-data; boundary=b")
        assert answer.status == 400
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def urlparts(service: Service) -> tuple[str, int]:
    return "127.0.0.1", service.settings.port


def begun(service: Service) -> socket.socket:
    """A client that asks for a picture that takes long."""
    body = json.dumps({"prompt": "a", "steps": 100, "size": "256x256", "model": "text-to-image"})
    stream = socket.create_connection(urlparts(service), timeout=60)
    stream.sendall(
        f"POST {GENERATIONS} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {TOKENS['ann']}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
    )
    return stream


def at_work(comfyui: Server) -> list[Any]:
    queue = comfyui.get("/queue").json()
    return [*queue["queue_running"], *queue["queue_pending"]]


class TestAnEndInBetween:
    def test_the_job_of_a_client_that_leaves_is_cancelled(self, service: Service, comfyui: Server) -> None:
        first, second = begun(service), begun(service)
        wait_for(lambda: len(at_work(comfyui)) == 2)
        second.close()
        wait_for(lambda: len(at_work(comfyui)) == 1)
        first.close()
        wait_for(lambda: not at_work(comfyui))

    def test_so_is_that_of_a_service_that_is_stopped(self, tmp_path: Path, comfyui: Server) -> None:
        with running(tmp_path, comfyui.url, **exchanging(comfyui)) as stopped:
            stream = begun(stopped)
            wait_for(lambda: at_work(comfyui))
        wait_for(lambda: not at_work(comfyui))
        stream.close()

    def test_so_is_that_of_a_service_that_was_killed(
        self, tmp_path: Path, comfyui: Server, long_graph: dict[str, Any]
    ) -> None:
        others = comfyui.submit(long_graph)
        left = comfyui.submit(long_graph)
        State(tmp_path / "state").run("INSERT INTO awaited VALUES (?)", (left,))
        with running(tmp_path, comfyui.url, **exchanging(comfyui)):
            wait_for(lambda: [item[1] for item in at_work(comfyui)] == [others])
        comfyui.post("/interrupt", {"prompt_id": others})
        comfyui.wait_idle()

    def test_a_comfyui_that_restarts_is_a_503_that_says_when_to_come_again(self, tmp_path: Path) -> None:
        base, port = tmp_path / "comfyui", free_port()
        lay_models(base)
        slow = {"COMFYSIM_STEP_SECONDS": "0.2"}
        with ExitStack() as comfyuis:
            first = ExitStack()
            comfyuis.enter_context(first)
            before = first.enter_context(simulator(base, "--cpu", env=slow, packs=False, port=port))
            with running(tmp_path, before.url, **exchanging(before)) as service, begun(service) as stream:
                wait_for(lambda: at_work(before))
                first.close()
                comfyuis.enter_context(simulator(base, "--cpu", packs=False, port=port))
                head, _, body = b"".join(iter(lambda: stream.recv(65536), b"")).decode().partition("\r\n\r\n")
        assert " 503 " in head.splitlines()[0]
        assert "retry-after: 30" in head.lower()
        assert json.loads(body)["error"]["code"] == "comfyui_unavailable"

    def test_without_comfyui_it_is_the_same(self, tmp_path: Path) -> None:
        with running(tmp_path, f"http://127.0.0.1:{free_port()}") as service:
            for answer in (
                generate(service),
                service.ask("GET", "/v1/models", "ann"),
                service.ask("GET", "/readyz"),
            ):
                told(answer, 503, "comfyui_unavailable", None)
                assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("place", "code"), [("incoming_dir", "upload_unwritable"), ("outgoing_dir", "result_missing")]
)
def test_a_folder_that_is_not_shared_with_comfyui_is_told(
    tmp_path: Path, comfyui: Server, place: str, code: str
) -> None:
    folders = {**exchanging(comfyui), place: tmp_path / "elsewhere"}
    with running(tmp_path, comfyui.url, **folders) as service:
        told(edit(service, {"image": drawn()}), 502, code, None)
    for folder in exchanging(comfyui).values():
        for file in folder.iterdir():
            file.unlink()


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (comfystack.InputError, 400, "invalid_value"),
        (comfystack.ModelMissingError, 404, "model_not_found"),
        (comfystack.ValidationError, 502, "execution_failed"),
        (comfystack.ExecutionError, 502, "execution_failed"),
        (comfystack.OutOfMemoryError, 502, "out_of_memory"),
        (comfystack.JobInterruptedError, 409, "cancelled"),
        (comfystack.JobCancelledError, 409, "cancelled"),
        (comfystack.JobTimeoutError, 504, "timeout"),
        (comfystack.ServerGoneError, 503, "comfyui_unavailable"),
        (comfystack.UnexpectedAnswerError, 502, "execution_failed"),
        (comfystack.AuthenticationError, 502, "execution_failed"),
        (comfystack.TooLargeError, 502, "execution_failed"),
    ],
)
def test_no_error_of_a_job_is_a_500_and_only_a_comfyui_that_is_away_is_worth_another_try(
    error: type[comfystack.ComfyError], status: int, code: str
) -> None:
    refused = of_error(error("steps 0", "steps from 1", "correct it"))
    assert (refused.status, refused.code) == (status, code)
    again = status in (400, 404) or "Retry-After" in refused.headers
    assert again is ("X-Should-Retry" not in refused.headers)
