"""The one user's settings and files (--multi-user is not simulated)."""

from __future__ import annotations

import json
import mimetypes
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from .file_routes import is_active
from .folders import plain_path
from .state import STATE

routes = web.RouteTableDef()

_USER = "default"
_SETTINGS = "comfy.settings.json"


def _home(request: web.Request) -> Path:
    return request.app[STATE].setup.folders.user / _USER


def _user_path(request: web.Request, name: str) -> Path | None:
    """The path below the user's folder, or None when it leads out of it. `%2F` in the name is a slash."""
    home = _home(request)
    path = plain_path(home / unquote(name))
    if not path.is_relative_to(home):
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _settings(request: web.Request) -> dict[str, Any]:
    file = _home(request) / _SETTINGS
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError):
        return {}


def _save_settings(request: web.Request, settings: dict[str, Any]) -> None:
    home = _home(request)
    home.mkdir(parents=True, exist_ok=True)
    (home / _SETTINGS).write_text(json.dumps(settings, indent=4), encoding="utf-8")


@routes.get("/users")
async def users(request: web.Request) -> web.Response:
    return web.json_response({"storage": "server", "migrated": _home(request).exists()})


@routes.post("/users")
async def add_user(request: web.Request) -> web.Response:
    return web.Response(status=501, text="simulator: POST /users (--multi-user) is not modelled")


@routes.get("/settings")
async def get_settings(request: web.Request) -> web.Response:
    return web.json_response(_settings(request))


@routes.get("/settings/{id}")
async def get_setting(request: web.Request) -> web.Response:
    return web.json_response(_settings(request).get(request.match_info["id"]))


@routes.post("/settings")
async def post_settings(request: web.Request) -> web.Response:
    _save_settings(request, {**_settings(request), **(await request.json())})
    return web.Response()


@routes.post("/settings/{id}")
async def post_setting(request: web.Request) -> web.Response:
    value = await request.json()
    _save_settings(request, {**_settings(request), request.match_info["id"]: value})
    return web.Response()


def _describe(path: Path, root: Path) -> dict[str, Any]:
    found = path.stat()
    return {
        "path": path.relative_to(root).as_posix(),
        "size": found.st_size,
        "modified": int(found.st_mtime * 1000),
        "created": int(found.st_ctime * 1000),
    }


def _flag(request: web.Request, name: str) -> bool:
    return request.query.get(name, "").lower() == "true"


@routes.get("/userdata")
async def list_userdata(request: web.Request) -> web.Response:
    wanted = request.query.get("dir", "")
    if not wanted:
        return web.Response(status=400, text="Directory not provided")
    folder = _user_path(request, wanted)
    if folder is None:
        return web.Response(status=403, text="Invalid directory")
    if not folder.exists():
        return web.Response(status=404, text="Directory not found")
    found = folder.rglob("*") if _flag(request, "recurse") else folder.glob("*")
    files = [path for path in found if path.is_file() and not path.name.startswith(".")]
    if _flag(request, "full_info"):
        return web.json_response([_describe(path, folder) for path in files])
    names = [path.relative_to(folder).as_posix() for path in files]
    if _flag(request, "split"):
        return web.json_response([[name, *name.split("/")] for name in names])
    return web.json_response(names)


@routes.get("/v2/userdata")
async def list_userdata_v2(request: web.Request) -> web.Response:
    """Files and folders below `path`, folders first."""
    home = _home(request)
    wanted = request.query.get("path", "")
    folder = _user_path(request, wanted) if wanted else home
    if folder is None:
        return web.Response(status=400, text="Invalid path requested")
    if not folder.exists():
        if folder == home:
            return web.json_response([])
        return web.Response(status=404, text="Requested path not found")
    if not folder.is_dir():
        return web.Response(status=400, text="Requested path is not a directory")
    entries: list[dict[str, Any]] = []
    for path in folder.rglob("*"):
        entry: dict[str, Any] = {
            "name": path.name,
            "path": path.relative_to(home).as_posix(),
            "type": "directory",
        }
        if path.is_file():
            entry |= {"type": "file", "size": path.stat().st_size, "modified": path.stat().st_mtime}
        entries.append(entry)
    entries.sort(key=lambda entry: (entry["type"] != "directory", entry["name"].lower()))
    return web.json_response(entries)


@routes.get("/userdata/{file}")
async def get_userdata(request: web.Request) -> web.StreamResponse:
    path = _user_path(request, request.match_info["file"])
    if path is None:
        return web.Response(status=403)
    if not path.exists():
        return web.Response(status=404)
    content_type = mimetypes.guess_type(path)[0] or "application/octet-stream"
    disposition = "attachment"
    if path == _home(request) / "user.css":
        content_type, disposition = "text/css", "inline"
    elif is_active(content_type):
        content_type = "application/octet-stream"
    headers = {
        "Content-Type": content_type,
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": disposition,
    }
    return web.FileResponse(path, headers=headers)


def _stored(request: web.Request, path: Path) -> web.Response:
    home = _home(request)
    if _flag(request, "full_info"):
        return web.json_response(_describe(path, home))
    return web.json_response(str(path.relative_to(home)))


@routes.post("/userdata/{file}")
async def post_userdata(request: web.Request) -> web.Response:
    path = _user_path(request, request.match_info["file"])
    if path is None:
        return web.Response(status=403)
    if request.query.get("overwrite", "true") == "false" and path.exists():
        return web.Response(status=409, text="File already exists")
    body = await request.read()
    # Written beside and moved over, so that a reader never sees half a file.
    handle, temporary = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "wb") as stream:
        stream.write(body)
    Path(temporary).replace(path)
    return _stored(request, path)


@routes.delete("/userdata/{file}")
async def delete_userdata(request: web.Request) -> web.Response:
    path = _user_path(request, request.match_info["file"])
    if path is None:
        return web.Response(status=403)
    if not path.exists():
        return web.Response(status=404)
    path.unlink()
    return web.Response(status=204)


@routes.post("/userdata/{file}/move/{dest}")
async def move_userdata(request: web.Request) -> web.Response:
    source = _user_path(request, request.match_info["file"])
    destination = _user_path(request, request.match_info["dest"])
    if source is None or destination is None:
        return web.Response(status=403)
    if not source.exists():
        return web.Response(status=404)
    if request.query.get("overwrite", "true") == "false" and destination.exists():
        return web.Response(status=409, text="File already exists")
    shutil.move(source, destination)
    return _stored(request, destination)
