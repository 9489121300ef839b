"""OpenAI's own client, unmodified, against the service and the simulator of ComfyUI."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import openai
import pytest
from comfystack import Progress
from comfystack_api.images import streams
from PIL import Image, PngImagePlugin

from tests.contract.server import Server, wait_for

from .conftest import TOKENS, Service, exchanging, running

FAST = {"steps": 1}


def client(service: Service, who: str = "ann") -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{service.server.url}/v1", api_key=TOKENS[who], max_retries=0)


@pytest.fixture
def ann(with_comfyui: Service) -> Iterator[openai.OpenAI]:
    with client(with_comfyui) as opened:
        yield opened


def drawn(size: tuple[int, int] = (320, 240), mode: str = "RGB", kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.radial_gradient("L").resize(size).convert(mode).save(buffer, kind)
    return buffer.getvalue()


def masked(size: tuple[int, int] = (320, 240), hole: bool = True) -> bytes:
    """A mask whose left half is transparent."""
    mask = Image.new("RGBA", size, (0, 0, 0, 255))
    if hole:
        mask.paste((0, 0, 0, 0), (0, 0, size[0] // 2, size[1]))
    buffer = io.BytesIO()
    mask.save(buffer, "PNG")
    return buffer.getvalue()


def seen(image: openai.types.Image) -> Image.Image:
    assert image.b64_json is not None
    picture = Image.open(io.BytesIO(base64.b64decode(image.b64_json)))
    picture.load()
    return picture


class TestModels:
    def test_they_are_the_workflows_whose_files_are_there(self, ann: openai.OpenAI, comfyui: Server) -> None:
        names = [model.id for model in ann.models.list()]
        assert {"text-to-image", "text-to-image-lightning", "edit", "edit-lightning", "inpaint"} <= set(names)
        assert ann.models.retrieve("edit").owned_by == "comfystack"
        assert comfyui.base is not None
        lora = next(comfyui.base.glob("models/loras/*Edit*"))
        aside = lora.rename(comfyui.base / lora.name)
        try:
            left = [model.id for model in ann.models.list()]
            assert sorted(set(names) - set(left)) == ["edit-lightning"]
            with pytest.raises(openai.NotFoundError) as missing:
                ann.images.edit(model="edit-lightning", image=drawn(), prompt="a")
            assert missing.value.code == "model_not_found"
        finally:
            aside.rename(lora)

    def test_an_unknown_one_is_a_404(self, ann: openai.OpenAI) -> None:
        with pytest.raises(openai.NotFoundError) as unknown:
            ann.models.retrieve("dall-e-9")
        assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")


class TestGenerations:
    def test_as_many_as_asked_for_in_the_size_asked_for(self, ann: openai.OpenAI) -> None:
        made = ann.images.generate(
            model="text-to-image", prompt="a lighthouse", n=2, size="512x256", extra_body={**FAST, "seed": 7}
        )
        assert made.data is not None
        assert [seen(one).size for one in made.data] == [(512, 256)] * 2
        assert [one.model_dump()["seed"] for one in made.data] == [7, 8]
        assert made.data[0].b64_json != made.data[1].b64_json

    def test_prompt_seed_and_steps_arrive(self, ann: openai.OpenAI) -> None:
        made = ann.images.generate(prompt="a red fox", size="256x256", extra_body={"seed": 41, "steps": 2})
        assert made.data is not None
        picture = seen(made.data[0])
        assert isinstance(picture, PngImagePlugin.PngImageFile)
        written = picture.text["prompt"]
        assert '"a red fox"' in written
        assert '"seed": 41' in written
        assert '"steps": 2' in written

    def test_nothing_is_left_at_comfyui(self, ann: openai.OpenAI, comfyui: Server) -> None:
        before = comfyui.get("/history").json()
        ann.images.generate(prompt="a secret", size="256x256", extra_body=FAST)
        ann.images.edit(prompt="a secret", image=drawn(), extra_body=FAST)
        assert comfyui.get("/history").json() == before
        assert [list(folder.iterdir()) for folder in exchanging(comfyui).values()] == [[], []]


class TestEdits:
    @pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
    def test_one_image(self, ann: openai.OpenAI, kind: str) -> None:
        made = ann.images.edit(image=drawn(kind=kind), prompt="winter", extra_body=FAST)
        assert made.data is not None
        assert seen(made.data[0]).size == (1184, 880)

    def test_three_images(self, ann: openai.OpenAI) -> None:
        images = [drawn((256, 256)), drawn(mode="L"), drawn(mode="RGBA")]
        made = ann.images.edit(model="edit", image=images, prompt="all in one", extra_body=FAST)
        assert made.data is not None
        assert '"image3"' in str(seen(made.data[0]).info["prompt"])

    def test_a_mask_limits_what_changes(self, ann: openai.OpenAI) -> None:
        photo = drawn()
        made = ann.images.edit(
            image=photo, mask=masked(), prompt="a vase", size="320x256", extra_body={**FAST, "margin": 0}
        )
        assert made.data is not None
        result = seen(made.data[0]).convert("RGB")
        assert result.size == (320, 256)
        before = Image.open(io.BytesIO(photo)).convert("RGB")
        right = [abs(result.getpixel((x, 120))[0] - before.getpixel((x, 112))[0]) for x in range(200, 310)]  # type: ignore[index]
        left = [abs(result.getpixel((x, 120))[0] - before.getpixel((x, 112))[0]) for x in range(10, 120)]  # type: ignore[index]
        assert sum(right) / len(right) < 10 < sum(left) / len(left)

    def test_a_mask_is_that_of_the_first_of_several_images(self, ann: openai.OpenAI) -> None:
        images = [drawn(), drawn((256, 256))]
        made = ann.images.edit(image=images, mask=masked(), prompt="a", size="320x256", extra_body=FAST)
        assert made.data is not None
        assert '"image2_scaled"' in str(seen(made.data[0]).info["prompt"])

    def test_a_size_cuts_and_scales(self, ann: openai.OpenAI) -> None:
        made = ann.images.edit(image=drawn(), prompt="a", size="512x1024", extra_body=FAST)
        assert made.data is not None
        assert seen(made.data[0]).size == (512, 1024)

    def test_the_name_of_a_file_leads_nowhere(self, ann: openai.OpenAI, comfyui: Server) -> None:
        for name in ("../../../etc/x.png", "/etc/passwd", "a\r\nX-Injected: y.png", "\x00", "é" * 400):
            made = ann.images.edit(image=(name, drawn()), prompt="a", size="256x256", extra_body=FAST)
            assert made.data


class TestLinks:
    def test_a_link_is_its_owners_alone_and_ends(self, tmp_path: Path, comfyui: Server) -> None:
        with running(tmp_path, comfyui.url, **exchanging(comfyui), results_seconds=3600) as service:
            with client(service) as ann:
                made = ann.images.generate(prompt="a", size="256x256", response_format="url", extra_body=FAST)
            assert made.data is not None
            url = str(made.data[0].url)
            assert url.startswith(f"{service.server.url}/v1/images/files/")
            path = url.removeprefix(service.server.url)
            assert service.ask("GET", path, "ann").picture().size == (256, 256)
            assert service.ask("GET", path, "ben").status == 404
            assert service.ask("GET", path, "operator").status == 404
            assert service.ask("GET", path).status == 401
        with running(tmp_path, comfyui.url, **exchanging(comfyui)) as later:
            assert later.ask("GET", path, "ann").status == 200, "it outlives a restart"

    def test_an_expired_picture_is_gone_and_others_files_are_not(
        self, tmp_path: Path, comfyui: Server
    ) -> None:
        shared = exchanging(comfyui)
        others = [shared["outgoing_dir"] / "mine.png", shared["outgoing_dir"].parent / "ComfyUI_00001_.png"]
        for file in others:
            file.write_bytes(drawn())
        with running(tmp_path, comfyui.url, **shared, results_seconds=0) as service, client(service) as ann:
            made = ann.images.generate(prompt="a", size="256x256", response_format="url", extra_body=FAST)
            assert made.data is not None
            path = str(made.data[0].url).removeprefix(service.server.url)
            assert service.ask("GET", path, "ann").status == 404
            assert list((tmp_path / "state" / "results").iterdir())
        with running(tmp_path, comfyui.url, **shared):
            wait_for(lambda: not list((tmp_path / "state" / "results").iterdir()))
        for file in others:
            file.unlink()


class TestStreams:
    SLOW: ClassVar[Any] = {"prompt": "a", "model": "text-to-image", "size": "256x256", "stream": True}

    def test_half_made_pictures_come_before_the_whole_one(self, ann: openai.OpenAI) -> None:
        events = list(ann.images.generate(**self.SLOW, n=2, partial_images=2, extra_body={"steps": 5}))
        each = ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
        assert [event.type for event in events] == each * 2
        assert [event.partial_image_index for event in events[:2]] == [0, 1]
        half, _, whole, *_ = [Image.open(io.BytesIO(base64.b64decode(event.b64_json))) for event in events]
        assert (half.format, whole.format, whole.size) == ("JPEG", "PNG", (256, 256))

    def test_an_edit_too_and_none_where_none_are_asked_for(self, ann: openai.OpenAI) -> None:
        events = list(ann.images.edit(image=drawn(), prompt="a", stream=True, extra_body={"steps": 3}))
        assert [event.type for event in events] == ["image_edit.completed"]

    def test_what_is_wrong_from_the_start_has_its_status(self, ann: openai.OpenAI) -> None:
        for wrong in ({"n": 0}, {"partial_images": 4}, {"response_format": "url"}):
            with pytest.raises(openai.BadRequestError) as refused:
                ann.images.generate(**{**self.SLOW, **wrong})
            assert refused.value.param == next(iter(wrong))

    def test_what_goes_wrong_later_is_an_event(self, tmp_path: Path, comfyui: Server) -> None:
        with running(tmp_path, comfyui.url, **exchanging(comfyui), job_seconds=1) as service:
            with client(service) as ann, pytest.raises(openai.APIError) as late:
                list(ann.images.generate(**self.SLOW, extra_body={"steps": 100}))
            assert late.value.code == "timeout"

    def test_a_client_that_stops_reading_stops_the_job_and_counts_no_more(
        self, tmp_path: Path, comfyui: Server
    ) -> None:
        limits = {"concurrent_requests": 1}
        with (
            running(tmp_path, comfyui.url, **exchanging(comfyui), **limits) as service,
            client(service) as ann,
        ):
            stream = ann.images.generate(**self.SLOW, partial_images=3, extra_body={"steps": 100})
            assert next(iter(stream)).type == "image_generation.partial_image"
            stream.close()
            comfyui.wait_idle()
            wait_for(lambda: "client_gone" in service.ask("GET", "/metrics").text)
            assert list(ann.images.generate(**self.SLOW, extra_body=FAST))

    def test_a_picture_from_before_its_own_first_step_is_not_shown(self) -> None:
        sent: list[tuple[int, bytes]] = []
        partials = streams._Partials(3, lambda number, picture: sent.append((number, picture)))
        partials.preview(b"somebody else's")
        partials.progress(Progress("running", steps=4))
        partials.preview(b"somebody else's")
        partials.progress(Progress("running", step=1, steps=4))
        partials.preview(b"mine")
        assert sent == [(0, b"mine")]
