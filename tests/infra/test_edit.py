"""The one proof that counts: an image goes in through the public name, and an edited one comes out."""

from __future__ import annotations

import io
import math

import pytest
from comfystack import ComfyClient, graphs
from PIL import Image, ImageChops

SIZE = (640, 448)
# The model works at about one megapixel, in sides that are multiples of 8, whatever the input's size.
MEGAPIXEL = 1024 * 1024


@pytest.fixture(scope="module")
def photo() -> bytes:
    """A picture with structure in every channel, 640 by 448 pixels."""
    red = Image.linear_gradient("L").resize(SIZE)
    green = Image.radial_gradient("L").resize(SIZE)
    blue = red.transpose(Image.Transpose.FLIP_LEFT_RIGHT).rotate(180)
    buffer = io.BytesIO()
    Image.merge("RGB", (red, green, blue)).save(buffer, "PNG")
    return buffer.getvalue()


def test_an_edited_image_comes_back_through_the_public_name(client: ComfyClient, photo: bytes) -> None:
    source = client.upload_image(photo)
    result = client.run(
        graphs.edit("edit-lightning", [source], "verify: make it a winter evening", seed=2509)
    )
    assert result.images, "found: a finished job without images; expected: one"
    content = client.view(result.images[0])
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        assert image.format == "PNG"
        edited = image.convert("RGB")
    width, height = edited.size
    assert width % 8 == 0
    assert height % 8 == 0
    assert 0.8 * MEGAPIXEL < width * height < 1.25 * MEGAPIXEL, edited.size
    assert math.isclose(width / height, SIZE[0] / SIZE[1], rel_tol=0.1), edited.size
    with Image.open(io.BytesIO(photo)) as original:
        difference = ImageChops.difference(edited, original.convert("RGB").resize(edited.size))
    assert difference.getbbox() is not None, "found: the input itself; expected: an edited image"
    assert len(edited.getcolors(maxcolors=2**24) or []) > 16, "found: a blank image; expected: a picture"
