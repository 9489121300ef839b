"""`comfystack tokens`: who may use the service. Needs a token of scope admin.

A token is made here and goes nowhere from here: the service gets its digest alone.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import re
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .. import moments
from ..errors import InputError
from ..telling import add_json, tell
from ..transport import Transport
from . import service
from .making import Commands

ROUTE = "/v1/tokens"
SCOPES = ("user", "admin")
# 256 bits.
TOKEN_BYTES = 32
# As the service has it: one word of a header.
_PRESENTABLE = re.compile(r"[!-~]{32,256}")


def add_to(commands: Commands[argparse.ArgumentParser]) -> None:
    """The command `tokens` with what can be done to them."""
    parser = commands.add_parser(
        "tokens", help="make, list and revoke the service's tokens (needs one of scope admin)"
    )
    actions = parser.add_subparsers(dest="tokens", required=True)
    create = actions.add_parser("create", help="make a token; it is shown once")
    create.set_defaults(action=_create)
    create.add_argument("--out", metavar="FILE", type=Path, help="write it there, for its owner alone")
    taken = actions.add_parser("import", help="make a token valid that people already have")
    taken.set_defaults(action=_import)
    taken.add_argument(
        "--from", dest="source", metavar="FILE", type=Path, required=True, help="'-' for stdin"
    )
    for made in (create, taken):
        made.add_argument("name", help="who will use it; appears in the service's logs")
        made.add_argument("--scope", choices=SCOPES, default="user", help="default: user")
        made.add_argument(
            "--expires",
            metavar="END",
            type=_end,
            help="when it ends: a date, which counts until it is over in UTC, or a moment; default: never",
        )
    revoke = actions.add_parser("revoke", help="make a token invalid at once, and end its sessions")
    revoke.set_defaults(action=_revoke)
    revoke.add_argument("name")
    listed = actions.add_parser("list", help="the tokens by name, but for revoked ones")
    listed.set_defaults(action=_list)
    for one in (create, taken, revoke, listed):
        add_json(one)
        service.add_arguments(one)


def _end(text: str) -> str:
    """An argparse type. Whether it is past is for the service to say: its clock is the one that ends the token."""
    try:
        return moments.end_of(text).isoformat()
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not {moments.FORM}") from None


def _exchange(
    args: argparse.Namespace, method: str, path: str = ROUTE, body: Mapping[str, str] | None = None
) -> dict[str, Any]:
    found = service.resolved(args)

    async def once() -> dict[str, Any]:
        transport = Transport(found.url, found.token, found.ca_file, found.connect_to)
        try:
            reply = await transport.exchange(method, path, body=body, accept=(200, 201, 400, 404, 409))
        finally:
            await transport.close()
        answer = reply.mapping()
        error = answer.get("error")
        if reply.status >= 400:
            text = error.get("message") if isinstance(error, dict) else None
            raise InputError(
                str(text or f"the service answered {reply.status} to {path}"),
                "a name that fits, an end that is to come, and a service that has tokens",
                "look at `comfystack tokens list`",
            )
        return answer

    return asyncio.run(once())


def _route(name: str) -> str:
    return f"{ROUTE}/{quote(name, safe='')}"


def _until(one: Mapping[str, Any]) -> str:
    """When it ends or has ended, "" for never."""
    end = one.get("expires")
    return f"{'expired' if one.get('expired') else 'until'} {end}" if end else ""


def _add(args: argparse.Namespace, token: str) -> dict[str, Any]:
    digest = hashlib.sha256(token.encode()).hexdigest()
    end = {"expires": args.expires} if args.expires else {}
    made = _exchange(args, "POST", body={"name": args.name, "scope": args.scope, "sha256": digest, **end})
    if end and not made.get("expires"):
        # An earlier version leaves out what it does not know.
        _exchange(args, "DELETE", _route(args.name))
        raise InputError(
            "the service knows no end of a token: it made one without, which has been revoked again",
            "a service of this version",
            "deploy it, or leave out --expires",
        )
    return made


def _create(args: argparse.Namespace) -> None:
    token = secrets.token_urlsafe(TOKEN_BYTES)
    if args.out is None:
        made = _add(args, token)
        tell(args, token, {**made, "token": token})
        return
    # Written first: a token that is valid and that nobody has would be of no use.
    try:
        handle = os.open(args.out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise InputError(
            f"{args.out} cannot be made: {error.strerror}", "a file that is not there yet", "correct --out"
        ) from None
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f"{token}\n")
        made = _add(args, token)
    except BaseException:
        args.out.unlink(missing_ok=True)
        raise
    told = ", ".join(filter(None, (f"{args.out}: token {args.name}, scope {args.scope}", _until(made))))
    tell(args, told, {**made, "file": str(args.out)})


def _import(args: argparse.Namespace) -> None:
    try:
        text = sys.stdin.read() if str(args.source) == "-" else args.source.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{args.source} cannot be read: {error}", "a file with one token", "correct --from"
        ) from None
    token = text.strip()
    if not _PRESENTABLE.fullmatch(token):
        raise InputError(
            f"{args.source} holds no token that can be taken over",
            "one line of 32 to 256 printable characters without spaces",
            "a shorter one can be guessed: make a new one with `comfystack tokens create`",
        )
    made = _add(args, token)
    tell(args, f"token {args.name}, scope {args.scope}, is valid", made)


def _revoke(args: argparse.Namespace) -> None:
    gone = _exchange(args, "DELETE", _route(args.name))
    left = "; take it out of the inventory, too" if gone.get("source") == "inventory" else ""
    tell(args, f"token {args.name} is revoked{left}", gone)


def _list(args: argparse.Namespace) -> None:
    answer = _exchange(args, "GET")
    lines = [
        f"{one['name']:24} {one['scope']:6} {one['source']:10} {one['created'] or '':32} {_until(one)}".rstrip()
        for one in answer["tokens"]
    ]
    tell(args, "\n".join(lines), answer)
