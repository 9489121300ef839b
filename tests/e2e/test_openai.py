"""OpenAI's own Python client, unmodified, in front of the deployed site: what it makes and what it is told."""

from __future__ import annotations

import base64
import io
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from PIL import Image

from tests.lab.names import PUBLIC_NAME

from .running import Done
from .site import Lab
from .test_sign_in import tokens

FAST = {"steps": 2, "seed": 7}


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
    with pytest.raises(openai.BadRequestError) as bad:
        client.images.edit(prompt="a", image=("../../x\r\nX-Injected: 1.png", b"no picture"))
    assert bad.value.code == "invalid_image"


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
