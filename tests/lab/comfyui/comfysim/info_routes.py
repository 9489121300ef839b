"""What a client asks about the server: nodes, models, features, system, logs; and routes not simulated."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

from aiohttp import web

from .devices import describe_devices, system_memory
from .state import STATE

routes = web.RouteTableDef()
internal_routes = web.RouteTableDef()
_log = logging.getLogger(__name__)

# Versions that a real 0.33.0 server reports; only its front end would differ by them.
_FRONTEND = "1.49.6"
_TEMPLATES = "0.11.44"
_PACKAGES = {
    "comfyui-frontend-package": _FRONTEND,
    "comfyui-workflow-templates": _TEMPLATES,
    "comfyui-embedded-docs": "0.5.10",
    "comfy-kitchen": "0.2.31",
    "comfy-aimdo": "0.4.13",
}
_METADATA_LIMIT = 1024 * 1024

# Routes of the real server that nothing here stands for. They say so instead of answering 404.
_NOT_MODELLED = (
    ("GET", "/docs"),
    ("GET", "/experiment/models"),
    ("GET", "/experiment/models/{folder}"),
    ("GET", "/experiment/models/preview/{folder}/{path_index}/{filename:.*}"),
    ("GET", "/global_subgraphs"),
    ("GET", "/global_subgraphs/{id}"),
    ("GET", "/node_replacements"),
    ("GET", "/templates/{path:.*}"),
)


async def not_modelled(request: web.Request) -> web.Response:
    return web.Response(status=501, text=f"simulator: {request.method} {request.path} is not modelled")


for _method, _path in _NOT_MODELLED:
    routes.route(_method, _path)(not_modelled)
internal_routes.patch("/internal/logs/subscribe")(not_modelled)


@routes.get("/object_info")
async def object_info(request: web.Request) -> web.Response:
    contract = request.app[STATE].contract
    found = {}
    for name in contract.classes:
        try:
            found[name] = contract.describe(name)
        except OSError as error:
            # As on a real server: a node whose file list cannot be read is left out, and the log says so.
            _log.error("An error occurred while retrieving information for the '%s' node: %s", name, error)
    return web.json_response(found)


@routes.get("/object_info/{node_class}")
async def object_info_of(request: web.Request) -> web.Response:
    contract = request.app[STATE].contract
    name = request.match_info["node_class"]
    return web.json_response({name: contract.describe(name)} if name in contract.classes else {})


@routes.get("/models")
async def model_folders(request: web.Request) -> web.Response:
    return web.json_response(list(request.app[STATE].setup.folders.by_type))


@routes.get("/models/{folder}")
async def models(request: web.Request) -> web.Response:
    folders = request.app[STATE].setup.folders
    kind = request.match_info["folder"]
    if kind not in folders.by_type:
        return web.Response(status=404)
    return web.json_response(folders.listing(kind))


@routes.get("/embeddings")
async def embeddings(request: web.Request) -> web.Response:
    names = request.app[STATE].setup.folders.listing("embeddings")
    return web.json_response([str(Path(name).with_suffix("")) for name in names])


@routes.get("/i18n")
@routes.get("/workflow_templates")
async def nothing_from_packs(request: web.Request) -> web.Response:
    """Translations and templates come from custom node packs, and the simulated ones have none."""
    return web.json_response({})


@routes.get("/extensions")
async def extensions(request: web.Request) -> web.Response:
    return web.json_response([])


@routes.get("/features")
async def features(request: web.Request) -> web.Response:
    return web.json_response(server_features(request.app[STATE].setup.options.max_upload_size))


def server_features(max_upload_size: float) -> dict[str, object]:
    """What the server says it can; also the answer to a WebSocket client's own feature flags."""
    size = max_upload_size * 1024 * 1024
    return {
        "supports_preview_metadata": True,
        "supports_model_type_tags": True,
        "max_upload_size": int(size) if size == int(size) else size,
        "extension": {"manager": {"supports_v4": True}},
        "node_replacements": True,
        "assets": False,
    }


@routes.get("/system_stats")
async def system_stats(request: web.Request) -> web.Response:
    state = request.app[STATE]
    total, free = system_memory()
    packages = [{"name": name, "installed": have, "required": have} for name, have in _PACKAGES.items()]
    system = {
        "os": sys.platform,
        "ram_total": total,
        "ram_free": free,
        "comfyui_version": request.app[VERSIONS]["comfyui"],
        "required_frontend_version": _FRONTEND,
        "installed_templates_version": _TEMPLATES,
        "required_templates_version": _TEMPLATES,
        "comfy_package_versions": packages,
        "python_version": sys.version,
        "pytorch_version": request.app[VERSIONS]["torch"],
        "embedded_python": False,
        "deploy_environment": "local-git",
        "argv": state.argv,
    }
    return web.json_response({"system": system, "devices": describe_devices(state.setup.options)})


@routes.get("/assets")
async def assets(request: web.Request) -> web.Response:
    error = {
        "code": "SERVICE_DISABLED",
        "message": ("Assets system is disabled. Start the server with --enable-assets to use this feature."),
        "details": {},
    }
    return web.json_response({"error": error}, status=503)


@routes.get("/view_metadata/{folder_name}")
async def view_metadata(request: web.Request) -> web.Response:
    """The `__metadata__` of a safetensors file; 404 for anything else."""
    name = request.query.get("filename", "")
    folders = request.app[STATE].setup.folders
    file = folders.find_model_file(request.match_info["folder_name"], name)
    if file is None or file.suffix != ".safetensors":
        return web.Response(status=404)
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header = stream.read(length) if length <= _METADATA_LIMIT else b"{}"
    metadata = json.loads(header).get("__metadata__")
    return web.Response(status=404) if metadata is None else web.json_response(metadata)


@internal_routes.get("/internal/folder_paths")
async def folder_paths(request: web.Request) -> web.Response:
    by_type = request.app[STATE].setup.folders.by_type
    return web.json_response({kind: [str(path) for path in folder.paths] for kind, folder in by_type.items()})


@internal_routes.get("/internal/files/{directory_type}")
async def internal_files(request: web.Request) -> web.Response:
    """Visible files of input, output or temp, newest first."""
    kind = request.match_info["directory_type"]
    directory = request.app[STATE].setup.folders.directory(kind)
    if directory is None:
        return web.json_response({"error": "Invalid directory type"}, status=400)
    files = [path for path in directory.iterdir() if path.is_file() and not path.name.startswith(".")]
    files.sort(key=lambda path: -path.stat().st_mtime)
    return web.json_response([f"{path.name} [{kind}]" for path in files])


@internal_routes.get("/internal/logs")
async def logs(request: web.Request) -> web.Response:
    lines = request.app[STATE].recent_lines.lines
    return web.json_response("".join(f"{line['t']} - {line['m']}" for line in lines))


@internal_routes.get("/internal/logs/raw")
async def raw_logs(request: web.Request) -> web.Response:
    entries = list(request.app[STATE].recent_lines.lines)
    return web.json_response({"entries": entries, "size": {"cols": 80, "rows": 24}})


VERSIONS: web.AppKey[dict[str, str]] = web.AppKey("versions", dict[str, str])
