"""What one WinRS command means: ansible-core's PowerShell wrappers, recognised and acted out.

The wire format is private to ansible-core (2.19.14 here): stdin carries a bootstrap document, then, after a
line of four null bytes, the manifest of actions, then, after another such line, the data of the action.
Whatever is not recognised is refused by name.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import logging
import re
import shutil
from dataclasses import dataclass
from pathlib import PureWindowsPath
from typing import Any

from . import accounts
from .environment import expand, profile
from .modules import run_module
from .state import Store

log = logging.getLogger("winsim.commands")

_SEPARATOR = b"\n\0\0\0\0\n"
_MODULE_FILE = re.compile(r"ansible_collections\.(\w+)\.(\w+)\.plugins\.modules\.(\w+)\.ps1")
_REMOVE_ITEM = re.compile(r"Remove-Item '((?:[^']|'')+)' -Force( -Recurse)?;")
# The words of ansible.windows 3.3.0's win_reboot: when the machine came up, down with it, is it ready for logons.
_BOOT_TIME = "Win32_OperatingSystem -Property LastBootUpTime"
_SHUTDOWN = re.compile(r"shutdown\.exe /r /t (\d+) /c ")
_LOGON_SCREEN = re.compile(
    r"Get-Item -LiteralPath '[^']*AutoLogonChecked' -ErrorAction Stop; '(success-[0-9a-f-]+)'"
)


@dataclass(frozen=True)
class Outcome:
    """`dropped`: the connection is lost before the answer of a module, which has done its work."""

    exit_code: int
    stdout: bytes = b""
    stderr: bytes = b""
    dropped: bool = False


def _refused(message: str) -> Outcome:
    log.error(message)
    return Outcome(1, stderr=f"The Windows simulator {message}".encode())


def run_command(store: Store, user: str, line: str, stdin: bytes) -> Outcome:
    """Act out one command line with all of its standard input."""
    encoded = re.search(r"-EncodedCommand\s+(\S+)", line)
    if not encoded:
        return _refused(f"knows only PowerShell -EncodedCommand, and was asked to run: {line[:200]!r}")
    try:
        script = base64.b64decode(encoded.group(1), validate=True).decode("utf-16-le")
    except (binascii.Error, UnicodeDecodeError):
        return _refused("could not decode the -EncodedCommand it was sent")
    if not stdin.strip():
        return _run_bare_script(store, script)
    bootstrap, _, rest = stdin.partition(_SEPARATOR)
    try:
        name = json.loads(bootstrap)["name"]
        manifest_text, _, data = rest.partition(_SEPARATOR)
        actions = json.loads(manifest_text)["actions"]
        chain = [str(action["name"]) for action in actions]
        parameters: dict[str, Any] = actions[-1]["params"]
    except (ValueError, KeyError, TypeError, IndexError):
        return _refused(
            "models the wire format of ansible-core 2.19.14, and what came was not that: "
            "install the pinned version, or look at commands.py again for the new one"
        )
    if name == "exec_wrapper" and chain == ["become_wrapper.ps1", "module_wrapper.ps1"]:
        return _run_as(store, actions[0], parameters)
    if name != "exec_wrapper" or len(chain) != 1:
        return _refused(
            f"does not model {chain[:-1] or [name]} (become, async, coverage) around {chain[-1]!r}"
        )
    helper = _HELPERS.get(chain[0])
    if helper:
        return helper(store, user, parameters, data)
    if chain[0] == "module_wrapper.ps1":
        return _run_module(store, user, parameters)
    return _refused(f"does not model the helper script {chain[0]!r} of ansible-core: add it to commands.py")


def _run_as(store: Store, become: dict[str, Any], parameters: dict[str, Any]) -> Outcome:
    """`become_method: runas` with a batch logon, which is what Task Scheduler makes, too."""
    user, logon_type = str(become["params"]["BecomeUser"]), become["params"].get("LogonType", "Interactive")
    password = accounts.fingerprint(str(become["secure_params"].get("BecomePassword", "")))
    if logon_type != "Batch" or user.upper() == "SYSTEM":
        return _refused(f"does not model become with logon_type={logon_type} as {user}")
    refused = accounts.refusal(store, store.read(), user, password)
    if refused:
        number, words = refused
        said = f"Failed to logon .\\{user} ({words}, Win32ErrorCode {number} - 0x{number:08X})"
        said = f'failure during exec_wrapper: Exception calling "CreateProcessAsUser" with "9" argument(s): "{said}"'
        return Outcome(1, json.dumps({"failed": True, "msg": said}).encode())
    # A first logon makes the user's profile.
    store.path(expand("%TEMP%", user)).mkdir(parents=True, exist_ok=True)
    return _run_module(store, user, parameters)


def _run_module(store: Store, user: str, parameters: dict[str, Any]) -> Outcome:
    script = str(parameters.get("Script"))
    arguments = next(
        (v["Value"] for v in parameters.get("Variables", []) if v.get("Name") == "complex_args"), None
    )
    if arguments is None:
        return _refused(f"does not model the bare script {script!r} (the `script` module)")
    # By the file that is really sent: `setup` and `slurp` have several names in a play.
    found = _MODULE_FILE.fullmatch(script)
    name = ".".join(found.groups()) if found else script
    result = run_module(store, user, name, arguments)
    if name == store.read().drops_during:
        with store.edit() as state:
            state.drops_during = ""
        log.error("the connection is dropped during %s", name)
        return Outcome(1, dropped=True)
    log.info("%s: changed=%s failed=%s", name, result.get("changed"), result.get("failed"))
    return Outcome(1 if result.get("failed") else 0, json.dumps(result).encode())


def _run_bare_script(store: Store, script: str) -> Outcome:
    """A script without input: ansible-core removes its temporary folder in this way, and win_reboot reboots."""
    if _BOOT_TIME in script:
        return Outcome(0, f"{store.booted}\r\n".encode())
    if shutdown := _SHUTDOWN.search(script):
        if store.restart is None:
            return _refused("is not a running machine, which could reboot")
        store.restart(float(shutdown.group(1)))
        return Outcome(0, b'{"stdout":"","stderr":"","rc":0}\r\n')
    if logged_on := _LOGON_SCREEN.search(script):
        return Outcome(0, f"{logged_on.group(1)}\r\n".encode())
    found = _REMOVE_ITEM.search(script)
    if not found:
        return _refused(f"does not model this script (the `raw` module?): {script[:300]!r}")
    target = store.path(found.group(1).replace("''", "'"))
    if not target.exists():
        return Outcome(1, stderr=f"Cannot find path '{found.group(1)}' because it does not exist.".encode())
    if target.is_dir():
        shutil.rmtree(target)
    else:
        target.unlink()
    return Outcome(0)


def _make_temporary_folder(store: Store, user: str, parameters: dict[str, Any], _data: bytes) -> Outcome:
    folder = PureWindowsPath(expand(parameters["Directory"], user)) / parameters["Name"]
    try:
        store.path(str(folder)).mkdir(parents=True)
    except FileExistsError:
        return Outcome(1, stderr=f"An item with the specified name {folder} already exists.".encode())
    return Outcome(0, f"{folder}\r\n".encode())


def _expand_user(_store: Store, user: str, parameters: dict[str, Any], _data: bytes) -> Outcome:
    path = str(parameters["Path"])
    if path == "~":
        path = profile(user)
    elif path.startswith("~\\"):
        path = f"{profile(user)}{path[1:]}"
    return Outcome(0, f"{path}\r\n".encode())


def _put_file(store: Store, user: str, parameters: dict[str, Any], data: bytes) -> Outcome:
    target = store.path(expand(parameters["Path"], user))
    if not target.parent.is_dir():
        return Outcome(1, stderr=f"Could not find a part of the path '{parameters['Path']}'.".encode())
    content = b"".join(base64.b64decode(line) for line in data.split())
    target.write_bytes(content)
    digest = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    return Outcome(0, json.dumps({"sha1": digest}).encode())


def _fetch_file(store: Store, user: str, parameters: dict[str, Any], _data: bytes) -> Outcome:
    source = store.path(expand(parameters["Path"], user))
    if source.is_dir():
        return Outcome(0, b"[DIR]")
    if not source.is_file():
        return Outcome(1, stderr=f"{parameters['Path']} does not exist".encode())
    with source.open("rb") as stream:
        stream.seek(int(parameters["Offset"]))
        return Outcome(0, base64.b64encode(stream.read(int(parameters["BufferSize"]))))


_HELPERS = {
    "powershell_mkdtemp.ps1": _make_temporary_folder,
    "powershell_expand_user.ps1": _expand_user,
    "winrm_put_file.ps1": _put_file,
    "winrm_fetch_file.ps1": _fetch_file,
}
