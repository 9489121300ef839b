"""Where the command line's settings come from: flags, then the environment, then the access file."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import InputError
from .transport import parse_url

URL = "COMFYSTACK_URL"
TOKEN_FILE = "COMFYSTACK_TOKEN_FILE"  # noqa: S105 - the name of a variable that names a file
CA_FILE = "COMFYSTACK_CA_FILE"
CONNECT_TO = "COMFYSTACK_CONNECT_TO"
ACCESS = "COMFYSTACK_ACCESS"


@dataclass(frozen=True)
class Settings:
    """Everything a ComfyClient needs, with the token already read."""

    url: str
    token: str | None
    ca_file: Path | None
    connect_to: str | None


def resolve(
    flags: Mapping[str, str | None],
    environment: Mapping[str, str],
    warn: Callable[[str], None],
) -> Settings:
    """Settings from `flags` (url, token_file, ca_file, connect_to, access), else from what is behind them.

    The access file speaks for its own names only: its token and CA do not go to another host.
    """
    access_path = flags.get("access") or environment.get(ACCESS)
    access = _read_access(Path(access_path)) if access_path else {}
    url = flags.get("url") or environment.get(URL) or access.get("url")
    if not url:
        raise InputError(
            "no URL is given",
            "the service's public URL",
            f"give --url or --access, or set {URL} or {ACCESS}",
        )
    host = parse_url(url).host or ""
    if access and host not in {parse_url(access["url"]).host, *access.get("names", ())}:
        warn(
            f"the access file {access_path} does not speak for {host}: its token, CA and address are left out"
        )
        access = {}

    token_file = flags.get("token_file") or environment.get(TOKEN_FILE) or access.get("token_file")
    ca_file = flags.get("ca_file") or environment.get(CA_FILE) or access.get("ca_file")
    connect_to = (
        flags.get("connect_to") or environment.get(CONNECT_TO) or access.get("connect_to", {}).get(host)
    )
    return Settings(
        url=url,
        token=_read_token(Path(token_file), warn) if token_file else None,
        ca_file=Path(ca_file) if ca_file else None,
        connect_to=connect_to or None,
    )


def _read_access(path: Path) -> dict[str, Any]:
    """The access file with its paths made absolute: they are relative to the file itself."""
    wrong = f"the access file {path}"
    fix = "name the access.json of a deployment, or deploy again"
    try:
        access = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{wrong} cannot be read: {error.strerror}", "a readable file", fix) from None
    except ValueError as error:
        raise InputError(f"{wrong} is not JSON: {error}", "the JSON a deployment writes", fix) from None
    if not isinstance(access, dict):
        raise InputError(f"{wrong} holds no JSON object", "the JSON a deployment writes", fix)
    shapes: dict[str, tuple[type, ...]] = {
        "url": (str,),
        "names": (list, type(None)),
        "connect_to": (dict, type(None)),
        "ca_file": (str, type(None)),
        "token_file": (str, type(None)),
    }
    for key, types in shapes.items():
        if not isinstance(access.get(key), types):
            raise InputError(f"{wrong} has no usable {key!r}", f"a JSON {types[0].__name__}", fix)
    access = {key: value for key, value in access.items() if value is not None}
    if not all(isinstance(place, str) for place in access.get("connect_to", {}).values()):
        raise InputError(f"{wrong} has no usable 'connect_to'", "HOST:PORT for each name", fix)
    for key in ("ca_file", "token_file"):
        if key in access:
            access[key] = str(path.absolute().parent / access[key])
    return access


def _read_token(path: Path, warn: Callable[[str], None]) -> str:
    fix = "correct --token-file, COMFYSTACK_TOKEN_FILE or the access file"
    try:
        with path.open(encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            token = file.read().strip()
    except OSError as error:
        raise InputError(
            f"the token file {path} cannot be read: {error.strerror}", "a readable file", fix
        ) from None
    except UnicodeDecodeError:
        raise InputError(f"the token file {path} is not text", "one line with the token", fix) from None
    if not token or len(token.splitlines()) > 1:
        what = "holds several lines" if token else "is empty"
        raise InputError(f"the token file {path} {what}", "one line with the token", fix)
    if os.name == "posix" and mode & (stat.S_IROTH | stat.S_IWOTH):
        warn(f"the token file {path} can be read by every user of this machine: chmod 600 {path}")
    return token
