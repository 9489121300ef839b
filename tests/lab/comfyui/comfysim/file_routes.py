"""Uploading pictures and looking at them."""

from __future__ import annotations

import hashlib
import io
import json
import mimetypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web
from multidict import MultiDictProxy
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from .folders import Folders, plain_path
from .state import STATE

routes = web.RouteTableDef()

# Types that a browser would run as part of the site: always a download.
_ACTIVE_TYPES = frozenset(
    {
        "text/html",
        "application/xhtml+xml",
        "text/javascript",
        "application/javascript",
        "text/css",
        "image/svg+xml",
        "application/xml",
        "text/xml",
    }
)

Form = MultiDictProxy[str | bytes | bytearray | web.FileField]
Save = Callable[[web.FileField, Path], None]


class _Refused(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@routes.post("/upload/image")
async def upload_image(request: web.Request) -> web.Response:
    """Stores the bytes as they are; whether they are a picture shows only when a graph loads them."""
    return _upload(request, await request.post(), lambda field, path: _write(path, field.file.read()))


@routes.post("/upload/mask")
async def upload_mask(request: web.Request) -> web.Response:
    form = await request.post()
    folders = request.app[STATE].setup.folders

    def save(field: web.FileField, path: Path) -> None:
        _save_with_mask(folders, json.loads(str(form["original_ref"])), field, path)

    return _upload(request, form, save)


def _upload(request: web.Request, form: Form, save: Save) -> web.Response:
    state = request.app[STATE]
    kind = str(form.get("type", "input"))
    root = state.setup.folders.directory(kind)
    if root is None:
        raise ValueError(f"upload type {kind!r}")  # a 500, as on a real server
    field = form.get("image")
    if not isinstance(field, web.FileField) or not field.filename:
        return web.Response(status=400)
    subfolder = str(form.get("subfolder", ""))
    folder = root / os.path.normpath(subfolder)
    path = plain_path(folder / field.filename)
    if not path.is_relative_to(root):
        return web.Response(status=400)
    # A folder in the file's own name is not made: where it is not there, a 500, as on a real server.
    folder.mkdir(parents=True, exist_ok=True)
    name = field.filename
    stored = False
    if str(form.get("overwrite", "")) not in ("true", "1"):
        name, stored = _free_name(path, field, state.setup.options.default_hashing_function)
    try:
        if not stored:
            save(field, path.parent / Path(name).name)
    except _Refused as refused:
        return web.Response(status=refused.status)
    return web.json_response({"name": name, "subfolder": subfolder, "type": kind})


def _free_name(path: Path, field: web.FileField, algorithm: str) -> tuple[str, bool]:
    """(name to use, whether the same bytes already stand there): `x (1).png` beside another x.png."""
    digest = hashlib.new(algorithm, field.file.read()).digest()
    field.file.seek(0)
    suffix = Path(field.filename).suffix
    stem = field.filename.removesuffix(suffix)
    name, number = field.filename, 1
    while (candidate := path.parent / Path(name).name).exists():
        if hashlib.new(algorithm, candidate.read_bytes()).digest() == digest:
            return name, True
        name = f"{stem} ({number}){suffix}"
        number += 1
    return name, False


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _save_with_mask(folders: Folders, original: dict[str, Any], field: web.FileField, path: Path) -> None:
    """The original picture with the uploaded picture's alpha, keeping the original's text chunks."""
    source = _referenced(
        folders, original["filename"], original.get("type", "output"), original.get("subfolder", "")
    )
    if not source.is_file():
        return
    with Image.open(source) as picture, Image.open(field.file) as mask:
        texts = PngInfo()
        for key, value in getattr(picture, "text", {}).items():
            texts.add_text(key, value)
        result = picture.convert("RGBA")
        result.putalpha(mask.convert("RGBA").getchannel("A"))
        result.save(path, pnginfo=texts, compress_level=4)


def _referenced(folders: Folders, filename: str, kind: str, subfolder: str) -> Path:
    """The file behind (filename, type, subfolder); 400 if the name leaves it, 403 if the subfolder does."""
    name, root = folders.split_annotation(filename)
    if not name or name.startswith("/") or ".." in name:
        raise _Refused(400)
    root = root or folders.directory(kind)
    if root is None:
        raise _Refused(400)
    folder = root / subfolder
    if not plain_path(folder).is_relative_to(root):
        raise _Refused(403)
    # As on a real server with its dots in it: it leads only through folders that there are.
    return folder / Path(name).name


@routes.get("/view")
async def view(request: web.Request) -> web.StreamResponse:
    """A stored file, or a re-encoded `preview=webp;80`, or one `channel` of it."""
    query = request.query
    if "filename" not in query:
        return web.Response(status=404)
    try:
        folders = request.app[STATE].setup.folders
        file = _referenced(
            folders, query["filename"], query.get("type", "output"), query.get("subfolder", "")
        )
    except _Refused as refused:
        return web.Response(status=refused.status)
    if not file.is_file():
        return web.Response(status=404)
    channel = query.get("channel", "rgba")
    if "preview" in query:
        return _preview(file, query["preview"], query.get("channel", ""))
    if channel in ("rgb", "a"):
        return _channel(file, channel)
    return _whole(file)


def _preview(file: Path, wanted: str, channel: str) -> web.Response:
    words = wanted.split(";")
    form = words[0] if words[0] in ("webp", "jpeg") and "a" not in channel else "webp"
    quality = int(words[-1]) if words[-1].isdigit() else 90
    data = io.BytesIO()
    with Image.open(file) as picture:
        flat = picture.convert("RGB") if form == "jpeg" or channel == "rgb" else picture
        flat.save(data, form, quality=quality)
    return _picture(data, f"image/{form}", file.name)


def _channel(file: Path, channel: str) -> web.Response:
    data = io.BytesIO()
    with Image.open(file) as picture:
        if channel == "rgb":
            result = picture.convert("RGB")
        else:
            result = Image.new("RGBA", picture.size)
            alpha = picture.getchannel("A") if picture.mode == "RGBA" else Image.new("L", picture.size, 255)
            result.putalpha(alpha)
        result.save(data, "PNG")
    return _picture(data, "image/png", file.name)


def _picture(data: io.BytesIO, content_type: str, name: str) -> web.Response:
    headers = {"Content-Disposition": f'filename="{name}"'}
    return web.Response(body=data.getvalue(), content_type=content_type, headers=headers)


def _whole(file: Path) -> web.FileResponse:
    name = file.name.replace("\\", "\\\\").replace('"', '\\"')
    content_type = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    headers = {"X-Content-Type-Options": "nosniff", "Content-Disposition": f'filename="{name}"'}
    if is_active(content_type):
        content_type = "application/octet-stream"
        headers["Content-Disposition"] = f'attachment; filename="{name}"'
        headers |= {"Vary": "Sec-Fetch-Dest", "Cache-Control": "no-store"}
    return web.FileResponse(file, headers={**headers, "Content-Type": content_type})


def is_active(content_type: str) -> bool:
    """Whether a browser may run the content in the site's own origin."""
    return content_type in _ACTIVE_TYPES or content_type.endswith(("+xml", "/xml"))
