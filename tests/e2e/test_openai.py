"""OpenAI's own Python client, unmodified, in front of the deployed site: what it makes and what it is told."""

from __future__ import annotations

import base64
import io
import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import openai
import pytest
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from tests.contract.server import wait_for
from tests.lab.names import PUBLIC_NAME
from tests.unit.api.test_bad_pictures import bomb

from .jobs import tokens
from .public import ask
from .running import Done
from .site import Lab

FAST = {"steps": 2, "seed": 7}
# Of some twenty seconds, so that it can be met while it runs.
SLOW = {"prompt": "a", "model": "text-to-image", "size": "256x256", "n": 10, "steps": 40}
# In the guest, at the edge.
_TOO_LARGE = """
import http.client, json
connection = http.client.HTTPConnection("127.0.0.1", 8188, timeout=60)
connection.request("POST", "/v1/images/edits", b"", {headers!r})
answer = connection.getresponse()
print(json.dumps([answer.status, json.loads(answer.read())["error"]]))
"""
# Ends what hangs.
AT_MOST = 120


@pytest.fixture(scope="module")
def user(lab: Lab, deployed: Done) -> Iterator[str]:
    """The token of somebody with scope `user`."""
    yield str(tokens(lab, "create", "e2e-openai")["token"])
    tokens(lab, "revoke", "e2e-openai")


@pytest.fixture
def public(lab: Lab, deployed: Done, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """The public name leads to the lab, as DNS would lead it to a real site; what the lab's clients trust."""
    address, _, port = lab.access["connect_to"][PUBLIC_NAME].rpartition(":")
    asked = socket.getaddrinfo

    def resolve(host: Any, service: Any, *more: Any, **others: Any) -> Any:
        here = host in (PUBLIC_NAME, PUBLIC_NAME.encode())
        return asked(address, int(port), *more, **others) if here else asked(host, service, *more, **others)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return ssl.create_default_context(cafile=lab.access["ca_file"])


@pytest.fixture
def client(public: ssl.SSLContext, user: str) -> Iterator[openai.OpenAI]:
    with opened(public, user) as one:
        yield one


def opened(public: ssl.SSLContext, token: str) -> openai.OpenAI:
    https = openai.DefaultHttpxClient(verify=public)
    return openai.OpenAI(
        base_url=f"https://{PUBLIC_NAME}/v1", api_key=token, http_client=https, max_retries=0
    )


def drawn(kind: str = "PNG", hole: bool = False) -> bytes:
    """A picture, or with `hole` a mask whose left half is to be edited."""
    picture = Image.radial_gradient("L").resize((512, 384)).convert("RGBA")
    if hole:
        picture.paste((0, 0, 0, 0), (0, 0, 256, 384))
    buffer = io.BytesIO()
    picture.convert("RGBA" if kind == "PNG" else "RGB").save(buffer, kind)
    return buffer.getvalue()


def seen(content: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(content))
    picture.load()
    assert picture.format == "PNG"
    return picture


def made(response: openai.types.ImagesResponse) -> list[Image.Image]:
    assert response.data
    return [seen(base64.b64decode(one.b64_json or "")) for one in response.data]


def test_it_makes_and_edits_pictures(client: openai.OpenAI) -> None:
    models = {model.id for model in client.models.list()}
    assert {"text-to-image", "edit", "edit-lightning", "inpaint"} <= models
    two = client.images.generate(prompt="a lighthouse", n=2, size="512x256", extra_body=FAST)
    assert [picture.size for picture in made(two)] == [(512, 256)] * 2
    one = client.images.edit(image=drawn("JPEG"), prompt="make it winter", extra_body=FAST)
    assert len(made(one)) == 1
    three = client.images.edit(
        model="edit", image=[drawn(), drawn("JPEG"), drawn("WEBP")], prompt="all in one", extra_body=FAST
    )
    assert len(made(three)) == 1
    masked = client.images.edit(
        image=drawn(), mask=drawn(hole=True), prompt="a vase", size="512x384", extra_body=FAST
    )
    before, (after,) = seen(drawn()).convert("RGB"), made(masked)
    assert after.size == (512, 384)
    assert (
        after.convert("RGB").crop((320, 0, 512, 384)).tobytes() == before.crop((320, 0, 512, 384)).tobytes()
    )
    assert after.convert("RGB").crop((0, 0, 128, 384)).tobytes() != before.crop((0, 0, 128, 384)).tobytes()


def test_a_link_leads_its_owner_to_the_picture_and_nobody_else(
    lab: Lab, public: ssl.SSLContext, client: openai.OpenAI
) -> None:
    response = client.images.generate(prompt="a", size="256x256", response_format="url", extra_body=FAST)
    assert response.data
    url = str(response.data[0].url)
    assert url.startswith(f"https://{PUBLIC_NAME}/v1/images/files/")
    path = url.partition("/v1")[2]
    assert seen(client.get(path, cast_to=bytes)).size == (256, 256)
    with opened(public, lab.secret("token")) as admin, pytest.raises(openai.NotFoundError):
        admin.get(path, cast_to=bytes)
    with opened(public, "0" * 64) as nobody, pytest.raises(openai.AuthenticationError):
        nobody.get(path, cast_to=bytes)
    left = lab.guest(
        "nothing-left", "find /opt/comfystack/data/input/api /opt/comfystack/data/output/api -type f"
    )
    assert left.strip() == ""


def test_what_is_wrong_is_told_as_openais_client_expects_it(client: openai.OpenAI) -> None:
    for wrong, code in (({"n": 0}, "invalid_value"), ({"size": "8192x8192"}, "invalid_value")):
        with pytest.raises(openai.BadRequestError) as refused:
            client.images.generate(prompt="a", **wrong)
        assert (refused.value.code, refused.value.param) == (code, next(iter(wrong)))
    with pytest.raises(openai.NotFoundError):
        client.images.generate(prompt="a", model="dall-e-9")
    for content, code in ((b"no picture", "invalid_image"), (bomb(8192, 8192), "image_too_large")):
        with pytest.raises(openai.BadRequestError) as bad:
            client.images.edit(prompt="a", image=("../../x\r\nX-Injected: 1.png", content))
        assert bad.value.code == code


def test_an_upload_of_101_megabytes_is_refused_by_whoever_meets_it_first(lab: Lab, user: str) -> None:
    headers = {"Authorization": f"Bearer {user}", "Content-Length": str(101 << 20)}
    # IIS has no 413: what is announced as too large is a 404.13 there.
    assert ask(lab, "POST", "/v1/images/edits", headers, b"").status == 404
    status, error = json.loads(
        lab.guest("too-large", f"python3 - <<'END'\n{_TOO_LARGE.format(headers=headers)}END")
    )
    assert (status, error["code"]) == (413, "too_large")
    assert set(error) == {"message", "type", "param", "code"}


def test_a_stream_shows_the_picture_while_it_is_made(client: openai.OpenAI) -> None:
    events = client.images.generate(
        prompt="a",
        model="text-to-image",
        size="256x256",
        stream=True,
        partial_images=2,
        extra_body={"steps": 20},
    )
    assert [event.type.rpartition(".")[2] for event in events] == [
        "partial_image",
        "partial_image",
        "completed",
    ]


def begun(lab: Lab, public: ssl.SSLContext, token: str) -> ssl.SSLSocket:
    """A client in the middle of a request that takes long."""
    body = json.dumps(SLOW)
    plain = socket.create_connection((PUBLIC_NAME, 443), timeout=AT_MOST)
    stream = public.wrap_socket(plain, server_hostname=PUBLIC_NAME)
    stream.sendall(
        f"POST /v1/images/generations HTTP/1.1\r\nHost: {PUBLIC_NAME}\r\nConnection: close\r\n"
        f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
    )
    wait_for(lambda: running(lab), seconds=AT_MOST)
    return stream


def running(lab: Lab) -> list[Any]:
    said = json.loads(lab.client("queue", "queue", "--json").ended_well().output)
    return list(said["jobs"])


def metric(admin: openai.OpenAI, name: str, **labels: str) -> float:
    text = admin.get(f"https://{PUBLIC_NAME}/metrics", cast_to=str)
    found = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    return found[0] if found else 0.0


def test_the_job_of_a_client_that_vanishes_is_cancelled_and_the_metrics_say_so(
    lab: Lab, public: ssl.SSLContext, user: str, client: openai.OpenAI
) -> None:
    client.images.generate(prompt="a", model="text-to-image", size="256x256", extra_body=FAST)
    with opened(public, lab.secret("token")) as admin:
        before = metric(admin, "comfystack_job_failures_total", type="client_gone")
        with closing(begun(lab, public, user)):
            pass
        gone = {"name": "comfystack_job_failures_total", "type": "client_gone"}
        wait_for(lambda: metric(admin, gone["name"], type=gone["type"]) == before + 1, seconds=AT_MOST)
        assert running(lab) == []
        assert metric(admin, "comfystack_job_seconds_count", workflow="text-to-image") > 0
        assert metric(admin, "comfystack_gpu_memory_total_bytes", gpu="NVIDIA GeForce RTX 3090") > 0
    with pytest.raises(openai.PermissionDeniedError):
        metric(client, "comfystack_comfyui_up")


def test_a_comfyui_that_restarts_in_between_is_a_503_that_says_when_to_come_again(
    lab: Lab, public: ssl.SSLContext, user: str
) -> None:
    with closing(begun(lab, public, user)) as stream:
        lab.guest("comfyui-restarted", "docker restart -t 0 comfyui-qwen")
        answer = b"".join(iter(lambda: stream.recv(65536), b"")).decode()
    head, _, body = answer.partition("\r\n\r\n")
    assert " 503 " in head.splitlines()[0]
    assert "retry-after: 30" in head.lower()
    assert json.loads(body[body.index("{") : body.rindex("}") + 1])["error"]["code"] == "comfyui_unavailable"
    wait_for(
        lambda: "healthy" in lab.guest("health", "docker inspect -f '{{.State.Health.Status}}' comfyui-qwen")
    )
