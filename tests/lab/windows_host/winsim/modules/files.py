"""Files: win_file, win_stat, win_copy (also under win_template), slurp and win_tempfile."""

from __future__ import annotations

import base64
import hashlib
import shutil
import tempfile
from pathlib import Path, PureWindowsPath
from typing import Any

from .contract import Machine, Module, ModuleFailure, NotModelled, Option, Params, Result, windows_path


def _sha1(path: Path) -> str:
    return hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest()


def put(target: Path, content: bytes) -> None:
    """Written beside and renamed, so that IIS never reads half a web.config."""
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".part-", delete=False) as stream:
        stream.write(content)
    part = Path(stream.name)
    part.chmod(0o644)
    part.replace(target)


def win_file(machine: Machine, params: Params) -> Result:
    path, state = params["path"], params["state"]
    target = machine.path(path)
    if state == "touch":
        raise NotModelled("win_file with state=touch")
    if target.exists():
        if state == "absent":
            if not machine.check:
                shutil.rmtree(target) if target.is_dir() else target.unlink()
            return {"changed": True}
        if state == "directory" and not target.is_dir():
            raise ModuleFailure(f"path {path} is not a directory")
        if state == "file" and target.is_dir():
            raise ModuleFailure(f"path {path} is not a file")
        return {"changed": False}
    if state == "absent":
        return {"changed": False}
    if state == "directory":
        if not machine.check:
            _make_folder(machine, path)
        return {"changed": True}
    raise ModuleFailure(f"path {path} will not be created")


def _make_folder(machine: Machine, path: str) -> None:
    drive = PureWindowsPath(path).drive
    if not machine.path(f"{drive}\\").is_dir():
        raise ModuleFailure(f"Cannot find drive. A drive with the name '{drive[0]}' does not exist.")
    try:
        machine.path(path).mkdir(parents=True)
    except (FileExistsError, NotADirectoryError):
        raise ModuleFailure(f"path {path} is not a directory") from None


def win_stat(machine: Machine, params: Params) -> Result:
    target = machine.path(params["path"])
    if not target.exists():
        return {"changed": False, "stat": {"exists": False}}
    seen = target.stat()
    shown = PureWindowsPath(params["path"])
    stat: dict[str, Any] = {
        "exists": True,
        "attributes": "Directory" if target.is_dir() else "Archive",
        "isarchive": target.is_file(),
        "isdir": target.is_dir(),
        "isreg": target.is_file(),
        "ishidden": False,
        "isjunction": False,
        "islnk": False,
        "isreadonly": False,
        "isshared": False,
        "nlink": 1,
        "hlnk_targets": [],
        "creationtime": seen.st_ctime,
        "lastaccesstime": seen.st_atime,
        "lastwritetime": seen.st_mtime,
        "path": str(shown),
        "filename": shown.name,
        "owner": r"BUILTIN\Administrators",
    }
    if target.is_file():
        stat["extension"] = shown.suffix
        if params["get_checksum"]:
            digest = hashlib.new(params["checksum_algorithm"], usedforsecurity=False)
            digest.update(target.read_bytes())
            stat["checksum"] = digest.hexdigest()
    if params["get_size"]:
        files = [target] if target.is_file() else [p for p in target.rglob("*") if p.is_file()]
        stat["size"] = sum(p.stat().st_size for p in files)
    return {"changed": False, "stat": stat}


def win_copy(machine: Machine, params: Params) -> Result:
    if params["backup"]:
        raise NotModelled("win_copy with backup=true")
    return _COPY_MODES[params["_copy_mode"]](machine, params)


def _copy_query(machine: Machine, params: Params) -> Result:
    """Which of the controller's files differ from what is here."""
    if params["symlinks"]:
        raise NotModelled("win_copy of symbolic links")
    base = PureWindowsPath(params["dest"])
    files, directories = [], []
    for wanted in params["files"] or []:
        shown = base / wanted["dest"]
        if machine.path(str(shown)).is_dir():
            shown = shown / PureWindowsPath(wanted["src"]).name
        here = machine.path(str(shown))
        if here.is_dir():
            raise ModuleFailure(f"cannot copy file to dest '{shown}': object at path is already a directory")
        if not here.exists() or (params["force"] and _sha1(here) != wanted["checksum"]):
            files.append(wanted)
    for wanted in params["directories"] or []:
        here = machine.path(str(base / wanted["dest"]))
        if here.is_file() or here.parent.is_file():
            raise ModuleFailure(f"cannot copy folder to dest '{base / wanted['dest']}': a file is in the way")
        if not here.is_dir():
            directories.append(wanted)
    return {"changed": False, "files": files, "directories": directories, "symlinks": []}


def _copy_single(machine: Machine, params: Params) -> Result:
    """The file is here already, in the connection's temporary folder: put it in its place."""
    source = machine.path(params["src"])
    if not source.is_file():
        raise ModuleFailure(f"Cannot copy src file: '{params['src']}' as it does not exist")
    shown = PureWindowsPath(params["dest"])
    names_folder = str(params["dest"]).endswith(("/", "\\"))
    if names_folder or machine.path(str(shown)).is_dir():
        shown = shown / params["_original_basename"]
    target = machine.path(str(shown))
    if target.parent.is_file():
        raise ModuleFailure(f"object at destination parent dir '{shown.parent}' is currently a file")
    if not target.parent.is_dir():
        if not names_folder:
            raise ModuleFailure(f"Destination directory '{shown.parent}' does not exist")
        _make_folder(machine, windows_path(str(shown.parent)))
    if str(shown).lower() in {held.lower() for held in machine.state.held_files}:
        raise ModuleFailure(
            f"The process cannot access the file '{shown}' because it is being used by another process."
        )
    put(target, source.read_bytes())
    return {"changed": True}


def _copy_other(_machine: Machine, params: Params) -> Result:
    raise NotModelled(f"win_copy of whole folders or on the remote side (mode {params['_copy_mode']!r})")


_COPY_MODES = {"query": _copy_query, "single": _copy_single, "explode": _copy_other, "remote": _copy_other}


def slurp(machine: Machine, params: Params) -> Result:
    source = machine.path(params["src"])
    if source.is_dir():
        raise ModuleFailure(f"Path {params['src']} is a directory")
    if not source.is_file():
        raise ModuleFailure(f"Path {params['src']} is not found")
    content = base64.b64encode(source.read_bytes()).decode()
    return {"changed": False, "content": content, "encoding": "base64"}


def win_tempfile(machine: Machine, params: Params) -> Result:
    folder = machine.path(params["path"])
    if not folder.is_dir():
        raise ModuleFailure(f"Could not find a part of the path '{params['path']}'.")
    with tempfile.TemporaryDirectory(dir=folder, prefix=params["prefix"]) as name:
        unique = Path(name).name + (params["suffix"] or "")
    if not machine.check:
        target = folder / unique
        target.mkdir() if params["state"] == "directory" else target.touch()
    return {"changed": True, "state": params["state"], "path": str(PureWindowsPath(params["path"]) / unique)}


_COPY_OPTIONS = {
    # `dest` is no "path": its trailing slash says that a folder is meant.
    "dest": Option("str", required=True),
    "src": Option("str"),
    "content": Option("raw"),
    "backup": Option("bool", False),
    "force": Option("bool", True),
    "decrypt": Option("bool", True),
    "local_follow": Option("bool", False),
    "remote_src": Option("bool", False),
}
_COPY_INTERNAL = {
    "_copy_mode": Option(default="single", choices=tuple(_COPY_MODES)),
    "_original_basename": Option(),
    "files": Option("list"),
    "directories": Option("list"),
    "symlinks": Option("list"),
}

MODULES = {
    "ansible.windows.win_file": Module(
        win_file,
        {
            "path": Option("path", required=True, aliases=("dest", "name")),
            "state": Option(choices=("absent", "directory", "file", "touch")),
        },
    ),
    "ansible.windows.win_stat": Module(
        win_stat,
        {
            "path": Option("path", required=True, aliases=("dest", "name")),
            "get_checksum": Option("bool", True),
            "get_size": Option("bool", True),
            "checksum_algorithm": Option(
                default="sha1", choices=("md5", "sha1", "sha256", "sha384", "sha512")
            ),
            "follow": Option("bool", False),
        },
    ),
    "ansible.windows.win_copy": Module(win_copy, _COPY_OPTIONS, _COPY_INTERNAL),
    "ansible.windows.slurp": Module(slurp, {"src": Option("path", required=True, aliases=("path",))}),
    "ansible.windows.win_tempfile": Module(
        win_tempfile,
        {
            "path": Option("path", "%TEMP%", aliases=("dest",)),
            "state": Option(default="file", choices=("directory", "file")),
            "prefix": Option(default="ansible."),
            "suffix": Option(),
        },
    ),
}
