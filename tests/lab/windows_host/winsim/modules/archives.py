"""win_unzip: an archive, really unpacked."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import PurePosixPath, PureWindowsPath

from .contract import Machine, Module, ModuleFailure, Option, Params, Result


def win_unzip(machine: Machine, params: Params) -> Result:
    """As in community.windows 3.1.0: it unpacks, and reports a change, whenever `creates` is not there."""
    if params["creates"] and machine.path(params["creates"]).exists():
        return {"changed": False, "skipped": True, "msg": f"'{params['creates']}' already exists."}
    source = machine.path(params["src"])
    if not source.is_file():
        raise ModuleFailure(f"File '{params['src']}' does not exist.")
    try:
        with zipfile.ZipFile(source) as archive:
            for entry in archive.infolist():
                if machine.check or entry.is_dir():
                    continue
                parts = PurePosixPath(entry.filename).parts
                target = machine.path(str(PureWindowsPath(params["dest"], *parts)))
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(entry) as inside, target.open("wb") as outside:
                    shutil.copyfileobj(inside, outside)
    except zipfile.BadZipFile as error:
        raise ModuleFailure(
            f"Error unzipping '{params['src']}' to '{params['dest']}'!. "
            f"Method: System.IO.Compression.ZipFile, Exception: {error}"
        ) from error
    return {"changed": True, "src": params["src"], "dest": params["dest"], "removed": False}


MODULES = {
    "community.windows.win_unzip": Module(
        win_unzip,
        {
            "src": Option("path", required=True),
            "dest": Option("path", required=True),
            "creates": Option("path"),
            "recurse": Option("bool", False, modelled=(False,)),
            "delete_archive": Option("bool", False, modelled=(False,), aliases=("rm",)),
            "password": Option(modelled=()),
        },
    ),
}
