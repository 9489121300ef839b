"""Why ComfyUI answered an upload whose form is right with its own error 500: what can be told of it from outside."""

from __future__ import annotations

import asyncio
import io
import posixpath
import uuid
import warnings

from PIL import Image

from .comfyui import Comfyui
from .forms import HEAD_BYTES, Form, WrongForm
from .images.exchange import Exchange


class Unkept:
    """Asked after the error. Raises as Comfyui does where it is not there, OSError where our own folders are not."""

    def __init__(self, comfyui: Comfyui, exchange: Exchange, most_pixels: int) -> None:
        self._comfyui, self._exchange, self._most_pixels = comfyui, exchange, most_pixels
        # A small file can be a large picture.
        self._one_at_a_time = asyncio.Lock()

    async def reason(self, form: Form) -> WrongForm | None:
        """What is wrong with the upload; None where it may be the host's fault, such as a full disk."""
        reason = await self._place(form)
        if reason is None and form.original is not None:
            reason = await self._mask(form, form.original)
        return reason

    async def _place(self, form: Form) -> WrongForm | None:
        folder = posixpath.normpath(form.folder)
        parts = [part for part in folder.split("/") if part not in ("", ".")]
        for depth, part in enumerate(parts):
            if await self._comfyui.has(form.kind, "/".join(parts[:depth]), part):
                found = f"a file {'/'.join(parts[: depth + 1])!r} where subfolder should be"
                return WrongForm(found, "a folder or a new name", "subfolder")
        # ComfyUI tells of files alone. Through a folder there is a way to a file of ours, through nothing none.
        mark = str(uuid.uuid4())
        try:
            ours = self._exchange.mark(form.kind, mark)
            if ours is None:
                return None
            way = "/".join([*parts, form.name, *[".."] * (len(parts) + 1), ours.subfolder])
            if await self._comfyui.has(form.kind, way, ours.filename):
                return WrongForm(
                    f"a folder that is called {form.name!r}", "another name for the file", "image"
                )
        finally:
            self._exchange.clear(mark)
        return None

    async def _mask(self, form: Form, original: dict[str, str]) -> WrongForm | None:
        # /view takes no folder within a name; /upload/mask does.
        folder, _, name = original["filename"].rpartition("/")
        place = {"filename": name, "subfolder": posixpath.join(original.get("subfolder", ""), folder)}
        # As a PNG, whose size stands at its beginning.
        async with await self._comfyui.view({**original, **place, "channel": "rgb"}) as answer:
            if answer.status == 500:
                return WrongForm("an original that is no whole picture", "one that is", "original_ref")
            head = await answer.content.readexactly(HEAD_BYTES) if answer.status == 200 else b""
        size = _size(form.head)
        if head and size != _size(head):
            return WrongForm(
                f"a mask of {size[0]} x {size[1]} pixels for a picture of {_size(head)[0]} x {_size(head)[1]}",
                "the same size",
                "image",
            )
        if form.content is None or size[0] * size[1] > self._most_pixels:
            return None
        async with self._one_at_a_time:
            if await asyncio.to_thread(_is_damaged, form.content):
                return WrongForm("a mask that is damaged or cut short", "a whole PNG; send it again", "image")
        return None


def _size(head: bytes) -> tuple[int, int]:
    """Width and height by the beginning of a PNG."""
    return int.from_bytes(head[16:20]), int.from_bytes(head[20:24])


def _is_damaged(content: bytes) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            Image.open(io.BytesIO(content), formats=("PNG",)).load()
    except Exception:  # Whatever a decoder does with bytes that are none of its format.
        return True
    return False
