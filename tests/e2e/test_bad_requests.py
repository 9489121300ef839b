"""What a program may get wrong on ComfyUI's own routes, through the public name: the documented answer, and no harm.

The first table is docs/api-reference.md's table of errors, lived through.
"""

from __future__ import annotations

import io
import json
import signal
import subprocess
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import ClassVar

import pytest
from comfystack import ComfyClient, ExecutionError, graphs, lessons
from PIL import Image

from tests.lab.names import ROOT

from .jobs import tokens
from .public import ask, form, say
from .running import Done, bare_environment
from .site import BIN, Lab
from .test_sign_in import BAD, Browser, bearer

MEGABYTE = b"\0" * (1 << 20)
LIMIT = 100 * len(MEGABYTE)


@dataclass(frozen=True)
class Wrong:
    """A request with an admin's token, and what the reference says to it: a status, and the type of the error."""

    method: str
    path: str
    status: int
    kind: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


FORM = "invalid_form"
FORM_HEAD = {"Content-Type": "multipart/form-data; boundary=x"}
JSON = {"Content-Type": "application/json"}


def upload(status: int, kind: str = FORM, name: str = "x.png", **fields: str) -> Wrong:
    headers, body = form(image=(name, b"x"), **fields)
    return Wrong("POST", "/upload/image", status, kind, headers, body)


def prompt(body: bytes, status: int, kind: str) -> Wrong:
    return Wrong("POST", "/prompt", status, kind, JSON, body)


NOTHING = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}}
}
WRONG = {
    # File names that lead out of their folder.
    "an upload to the folder above": upload(400, name="../x.png"),
    "an upload to a folder above": upload(400, "", subfolder="../.."),
    "an upload to an absolute folder": upload(400, "", subfolder="/tmp"),  # noqa: S108 - is refused
    "an upload without a file": Wrong("POST", "/upload/image", 400, FORM, *form(type="input")),
    "a view of the folder above": Wrong("GET", "/view?filename=../x.png", 400),
    "the same, encoded": Wrong("GET", "/view?filename=%2e%2e%2fx.png", 400),
    "a view of an absolute path": Wrong("GET", "/view?filename=/etc/passwd", 400),
    "a view of a folder above": Wrong("GET", "/view?filename=passwd&subfolder=../../../etc", 403),
    "a view of an absolute folder": Wrong("GET", "/view?filename=passwd&subfolder=/etc", 403),
    "a view of a kind that is none": Wrong("GET", "/view?filename=x.png&type=secret", 400),
    "a view of nothing": Wrong("GET", "/view", 404),
    "a view of what is not there": Wrong("GET", "/view?filename=none.png", 404),
    # Headers and log lines that somebody would like to write.
    "a header in a query": Wrong("GET", "/view?filename=a%0d%0aSet-Cookie:%20x=1", 400, "malformed"),
    "a header in a path": Wrong("GET", "/%0d%0aSet-Cookie:%20x=1", 400, "malformed"),
    "a header behind the sign-in": Wrong("GET", "/login?next=/%0D%0ASet-Cookie:%20x=1", 400, "malformed"),
    "a header in a client's id": Wrong("GET", "/ws?clientId=a%0aX-Y:%20z", 400, "malformed"),
    "a zero byte": Wrong("GET", "/view?filename=x%00.png", 400, "malformed"),
    # Jobs that are none.
    "no JSON": prompt(b"{", 400, "no_prompt"),
    "a list": prompt(b"[]", 400, "no_prompt"),
    "nothing to run": prompt(b"{}", 400, "no_prompt"),
    "an empty graph": prompt(say({"prompt": {}}), 400, "prompt_no_outputs"),
    "a graph that saves nothing": prompt(say({"prompt": NOTHING}), 400, "prompt_no_outputs"),
    "a node that there is not": prompt(
        say({"prompt": {"1": {"class_type": "Nobody", "inputs": {}}}}), 400, "missing_node_type"
    ),
    "an id that is none": prompt(say({"prompt": NOTHING, "prompt_id": "1"}), 400, "invalid_prompt_id"),
    "a job of 17 MiB": prompt(say({"prompt": NOTHING, "x": "x" * (17 << 20)}), 413, "too_large"),
    # What ComfyUI itself would answer with 500.
    "a graph that is a list": prompt(say({"prompt": []}), 400, "no_prompt"),
    "a client whose id is a list": prompt(say({"prompt": NOTHING, "client_id": ["x"]}), 400, "no_prompt"),
    "memory freed by nobody's word": Wrong("POST", "/free", 400, "no_prompt", JSON, b"x"),
    "settings that are no object": Wrong("POST", "/settings", 400, "no_prompt", JSON, b"[]"),
    "a setting that is no JSON": Wrong("POST", "/api/settings/Comfy.Locale", 400, "no_prompt", JSON, b"x"),
    "an upload of a kind that there is not": upload(400, type="secret"),
    "an upload into a folder of its name's": upload(400, name="none/x.png"),
    "a form that is none": Wrong("POST", "/upload/image", 400, FORM, FORM_HEAD, MEGABYTE),
    "a form below the other address": Wrong("POST", "/api/upload/image", 400, FORM, FORM_HEAD, MEGABYTE),
    "a form that is a picture": Wrong(
        "POST", "/upload/image", 400, FORM, {"Content-Type": "image/png"}, b"x"
    ),
    "a mask of no picture": Wrong("POST", "/upload/mask", 400, FORM, *form(image=("x.png", b"x"))),
    "a number that is none": Wrong("GET", "/history?max_items=x", 400, "malformed"),
    "another number, written otherwise": Wrong("GET", "/api/%68istory?offset=", 400, "malformed"),
    # Sizes.
    "an upload that says it is over the limit": Wrong(
        "POST", "/upload/image", 404, "", {"Content-Length": str(LIMIT + 1)}, b""
    ),
    # Other sites.
    "a page of another site": Wrong("GET", "/queue", 403, "permission", {"Origin": "https://evil.example"}),
    "a route that there is not": Wrong("GET", "/nothing/at/all", 404),
}


@pytest.fixture(scope="module")
def client(lab: Lab, deployed: Done) -> Iterator[ComfyClient]:
    with lessons.connect(str(lab.access_file)) as connected:
        yield connected


@pytest.fixture(autouse=True)
def well_afterwards(client: ComfyClient) -> Iterator[None]:
    """Whatever was asked: nothing runs or waits, and the service answers."""
    yield
    queue = client.queue()
    assert (queue["queue_running"], queue["queue_pending"]) == ([], [])


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_request_gets_the_documented_answer(lab: Lab, deployed: Done, case: str) -> None:
    wrong = WRONG[case]
    answer = ask(lab, wrong.method, wrong.path, {**bearer(lab.secret("token")), **wrong.headers}, wrong.body)
    assert (answer.status, answer.kind) == (wrong.status, wrong.kind), answer
    assert "set-cookie" not in answer.headers


def test_a_body_that_does_not_say_how_long_it_is_ends_at_the_limit(lab: Lab, deployed: Done) -> None:
    headers, whole = form(image=("large.png", b""))
    head, _, tail = whole.partition(b"\r\n\r\n")
    parts = chain([head + b"\r\n\r\n"], repeat(MEGABYTE, 101), [tail])
    headers |= bearer(lab.secret("token"))
    answer = ask(lab, "POST", "/upload/image", headers, parts)
    # IIS counts; past it, the edge would answer 413.
    assert answer.status == 404, answer


class TestATokenThatIsNoneAnyMore:
    def test_a_wrong_and_a_revoked_one_are_told_alike(self, lab: Lab, deployed: Done) -> None:
        revoked = tokens(lab, "create", "e2e-gone")["token"]
        assert ask(lab, "GET", "/queue", bearer(revoked)).status == 200
        tokens(lab, "revoke", "e2e-gone")
        answers = [ask(lab, "GET", "/queue", bearer(token)) for token in (BAD, revoked)]
        assert [(one.status, one.kind) for one in answers] == [(401, "authentication")] * 2
        assert len({one.body for one in answers}) == 1

    def test_a_session_whose_time_is_over_leads_to_the_sign_in(self, lab: Lab, deployed: Done) -> None:
        browser = Browser(lab)
        assert browser.ask("POST", "/login", {"token": lab.secret("token")})[0] == 303
        assert browser.ask("GET", "/queue")[0] == 200
        ended = (
            "import sqlite3; from pathlib import Path; "
            "[file] = Path('/').glob('*/**/state.db'); base = sqlite3.connect(file); "
            "base.execute('UPDATE sessions SET expires = 1'); base.commit()"
        )
        lab.guest("sessions-over", f'docker exec api python -c "{ended}"')
        status, headers = browser.ask("GET", "/queue")
        assert (status, headers["location"]) == (303, "/login?next=%2Fqueue")
        program = ask(lab, "GET", "/queue", {"Cookie": browser.cookie})
        assert (program.status, program.kind) == (401, "authentication")


def picture(size: tuple[int, int]) -> bytes:
    made = io.BytesIO()
    Image.effect_noise(size, 50).convert("RGBA").save(made, "PNG")
    return made.getvalue()


def place(name: str, content: bytes, **fields: str) -> Wrong:
    return Wrong("POST", "/upload/image", 400, FORM, *form(image=(name, content), **fields))


def mask(content: bytes, of: str = "photo.png") -> Wrong:
    original = json.dumps({"filename": of, "type": "input", "subfolder": "odd"})
    fields = {"original_ref": original, "subfolder": "odd", "overwrite": "1"}
    return Wrong("POST", "/upload/mask", 400, FORM, *form(image=("mask.png", content), **fields))


def look(query: str, path: str = "/view") -> Wrong:
    return Wrong("GET", f"{path}?type=input&subfolder=odd&{query}", 400, "no_picture")


@pytest.fixture(scope="module")
def user(lab: Lab, deployed: Done) -> Iterator[dict[str, str]]:
    """The head of one with a token of scope `user`, who has laid a text and a picture of 64 x 64 into `odd`."""
    head = bearer(tokens(lab, "create", "e2e-odd")["token"])
    for name, content in (("a.txt", b"no picture"), ("photo.png", picture((64, 64)))):
        headers, body = form(image=(name, content), subfolder="odd", overwrite="1")
        answer = ask(lab, "POST", "/upload/image", {**head, **headers}, body)
        assert answer.status == 200, answer
    yield head
    tokens(lab, "revoke", "e2e-odd")


class TestAFileThatIsNotWhatIsMadeOfIt:
    WRONG: ClassVar = {
        "a preview of a text": look("filename=a.txt&preview=webp;75"),
        "the same, below the other address": look("filename=a.txt&preview=webp;75", "/api/view"),
        "the same, written otherwise": look("filename=a.txt&pre%76iew", "/%76iew"),
        "the colours of a text": look("filename=a.txt&channel=rgb"),
        "a name that a folder has": place("odd", b"x"),
        "a file where subfolder should be": place("b.txt", b"x", subfolder="odd/a.txt/c"),
        "a mask of another size": mask(picture((64, 65))),
        "a mask whose end is missing": mask(picture((64, 64))[:-1000]),
        "a mask of a text": mask(picture((64, 64)), "a.txt"),
    }

    @pytest.mark.parametrize("case", WRONG)
    def test_is_told(self, lab: Lab, user: dict[str, str], case: str) -> None:
        wrong = self.WRONG[case]
        answer = ask(lab, wrong.method, wrong.path, {**user, **wrong.headers}, wrong.body)
        assert (answer.status, answer.kind) == (wrong.status, wrong.kind), answer

    def test_one_that_is_becomes_a_picture_and_takes_a_mask(self, lab: Lab, user: dict[str, str]) -> None:
        address = "/view?type=input&subfolder=odd&filename=photo.png"
        for query, kind in (("preview=webp;75", "image/webp"), ("channel=a", "image/png")):
            answer = ask(lab, "GET", f"{address}&{query}", user)
            assert (answer.status, answer.headers["content-type"]) == (200, kind), answer
            assert Image.open(io.BytesIO(answer.body)).size == (64, 64)
        right = mask(picture((64, 64)))
        answer = ask(lab, right.method, right.path, {**user, **right.headers}, right.body)
        assert answer.status == 200, answer


class TestAPictureThatIsNone:
    """ComfyUI takes any file; the job that loads it says what it is."""

    def loaded(self, client: ComfyClient, lab: Lab, name: str, content: bytes) -> None:
        headers, body = form(image=(name, content), overwrite="true")
        answer = ask(lab, "POST", "/upload/image", {**bearer(lab.secret("token")), **headers}, body)
        assert answer.status == 200, answer
        sent = json.loads(answer.body)
        graph = graphs.load("edit-lightning")
        graph["image1"]["inputs"]["image"] = sent["name"]
        client.run(graph)

    def test_a_text_is_told_when_the_job_loads_it(self, client: ComfyClient, lab: Lab) -> None:
        with pytest.raises(ExecutionError) as told:
            self.loaded(client, lab, "text.png", b"no picture at all")
        assert told.value.node_type == "LoadImage"
        assert "convert it to PNG" in told.value.next_step

    def test_a_bomb_is_not_unpacked(self, client: ComfyClient, lab: Lab) -> None:
        """14,000 million pixels in a file of a few hundred bytes."""
        with pytest.raises(ExecutionError) as told:
            self.loaded(client, lab, "bomb.png", bomb(120_000, 120_000))
        assert told.value.node_type == "LoadImage"
        assert "DecompressionBombError" in told.value.found

    def test_eight_thousand_pixels_a_side_become_one_megapixel(self, client: ComfyClient, lab: Lab) -> None:
        large = io.BytesIO()
        Image.new("RGB", (8192, 8192), "teal").save(large, "JPEG")
        self.loaded(client, lab, "large.jpg", large.getvalue())


def bomb(width: int, height: int) -> bytes:
    """A PNG that says it is that large, with the first few bytes of its pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 0, 0, 0, 0])
    pixels = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


# A program of somebody's, whose job takes that many of the graph's steps: a twentieth of a second each.
PROGRAM = """
import sys
from comfystack import ComfyError, graphs, lessons
graph = graphs.load("text-to-image")
graph["latent"]["inputs"] |= {"width": 256, "height": 256}
graph["sampler"]["inputs"]["steps"] = int(sys.argv[2])
with lessons.connect(sys.argv[1]) as client:
    try:
        print(len(client.view(client.run(graph).images[0])))
    except ComfyError as error:
        sys.exit(f"{type(error).__name__}: {error}")
"""
# Longer than anything here waits for.
ENDLESS = 9999


@contextmanager
def running(lab: Lab, client: ComfyClient, steps: int = ENDLESS) -> Iterator[subprocess.Popen[str]]:
    """The program, from when its job runs."""
    environment = bare_environment(PYTHONPATH=str(ROOT / "comfyui" / "client"))
    command = [str(BIN / "python"), "-c", PROGRAM, str(lab.access_file), str(steps)]
    with subprocess.Popen(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            while not client.queue()["queue_running"]:
                assert process.poll() is None, process.communicate()[0]
            yield process
        finally:
            process.kill()


def idle(client: ComfyClient) -> None:
    """Waits until nothing runs: an interruption is seen by the next step."""
    while client.queue()["queue_running"]:
        pass


class TestAProgramInTheMiddleOfAJob:
    def test_one_that_is_stopped_takes_its_job_with_it(self, lab: Lab, client: ComfyClient) -> None:
        with running(lab, client) as process:
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate(timeout=60)
            assert "KeyboardInterrupt" in said
        idle(client)

    def test_one_that_vanishes_leaves_a_job_that_can_be_taken_away(
        self, lab: Lab, client: ComfyClient
    ) -> None:
        with running(lab, client) as process:
            process.kill()
            process.wait(60)
            ((_, prompt_id, *_),) = client.queue()["queue_running"]
        lab.client("cancel-the-orphan", "cancel", prompt_id).ended_well()
        idle(client)

    def test_a_comfyui_that_comes_back_without_the_job_is_told(self, lab: Lab, client: ComfyClient) -> None:
        with running(lab, client) as process:
            lab.guest("comfyui-restarts", "docker restart --time 1 comfyui-qwen")
            said, _ = process.communicate(timeout=120)
        assert process.returncode == 1
        assert said.startswith("ServerGoneError: the server went away and came back without the job"), said
        assert "Next step: run it again" in said

    def test_an_edge_and_an_api_that_restart_are_survived(self, lab: Lab, client: ComfyClient) -> None:
        with running(lab, client, steps=500) as process:
            lab.guest("edge-restarts", "docker restart --time 1 edge api")
            assert process.poll() is None, f"over before they were back: {process.communicate()[0]}"
            said, _ = process.communicate(timeout=300)
        assert process.returncode == 0, said


def test_nothing_of_all_that_is_in_a_folder_where_it_should_not_be(lab: Lab, deployed: Done) -> None:
    assert lab.guest("stray-files", "find / -xdev -name x.png") == ""
