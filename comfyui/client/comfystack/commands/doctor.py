"""`comfystack doctor`: every hop from the name to the card, each with found, expected and next step."""

from __future__ import annotations

import argparse
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from .. import graphs, pictures
from ..client import ComfyClient
from ..errors import AuthenticationError, ComfyError, printable
from ..progress import ProgressDisplay
from ..settings import Settings
from ..telling import add_json, tell
from ..transport import CONNECT_SECONDS, parse_connect_to, parse_url
from . import service
from .making import Commands
from .queue import jobs_of
from .validate import edited, runnable

# As verify has it: a renewal that was due two weeks ago has failed.
CERTIFICATE_DAYS = 21


@dataclass(frozen=True)
class Hop:
    """One thing looked at. `state`: ok, wrong, or "not reached" behind a hop that is wrong."""

    name: str
    state: str
    found: str
    expected: str = ""
    next_step: str = ""


class WrongError(ComfyError):
    """A hop that is not as it should be."""


def add_to(commands: Commands[argparse.ArgumentParser]) -> None:
    """The command `doctor`."""
    text = "look at every hop from the name to the card; exit code 1 where one is wrong"
    doctor = commands.add_parser("doctor", help=text, description=text.capitalize())
    doctor.set_defaults(action=_doctor)
    doctor.add_argument("--edit", action="store_true", help="make an edit, too")
    add_json(doctor)
    service.add_arguments(doctor)


@dataclass
class _Way:
    """Where a request goes, as far as it came."""

    settings: Settings
    host: str
    port: int
    is_tls: bool
    addresses: list[str]


def _doctor(args: argparse.Namespace) -> None:
    if args.edit:
        pictures.needed()
    settings = service.resolved(args)
    url = parse_url(settings.url)
    host, port = str(url.host), int(url.port or 443)
    if settings.connect_to:
        host, port = parse_connect_to(settings.connect_to)
    way = _Way(settings, host, port, url.scheme == "https", [])
    hops = list(_hops(way, args))
    wrong = [hop for hop in hops if hop.state != "ok"]
    lines = []
    for hop in hops:
        lines.append(f"{hop.state:11}  {hop.name:12} {hop.found}")
        if hop.state == "wrong":
            lines += [f"{'':26}expected:  {hop.expected}", f"{'':26}next step: {hop.next_step}"]
    tell(args, "\n".join(lines), {"ok": not wrong, "hops": [asdict(hop) for hop in hops]})
    if wrong:
        raise SystemExit(1)


def _hops(way: _Way, args: argparse.Namespace) -> Iterator[Hop]:
    """The hops in the order in which a request meets them; behind a wrong one on the way nothing is asked."""
    on_the_way: list[tuple[str, Callable[[], str]]] = [
        ("name", lambda: _name(way)),
        ("port", lambda: _port(way)),
    ]
    if way.is_tls:
        on_the_way.append(("certificate", lambda: _certificate(way)))
    on_the_way += [("door", lambda: _door(way)), ("token", lambda: _token(way, args))]
    behind: list[tuple[str, Callable[[ComfyClient], str]]] = [
        ("comfyui", _comfyui),
        ("card", _card),
        ("workflows", _workflows),
        ("websocket", _websocket),
        ("queue", _queue),
    ]
    if args.edit:
        behind.append(("edit", lambda client: _edit(client, args)))
    blocked = False
    for name, look in on_the_way:
        hop = Hop(name, "not reached", "") if blocked else _hop(name, look)
        blocked = blocked or hop.state == "wrong"
        yield hop
    if blocked:
        yield from (Hop(name, "not reached", "") for name, _ in behind)
        return
    with _client(way, args.timeout) as client:
        for name, ask in behind:
            yield _hop(name, lambda ask=ask: ask(client))  # type: ignore[misc]


def _hop(name: str, look: Callable[[], str]) -> Hop:
    try:
        return Hop(name, "ok", look())
    except ComfyError as error:
        return Hop(name, "wrong", error.found, error.expected, error.next_step)


@contextmanager
def _client(way: _Way, timeout: float, *, with_token: bool = True) -> Iterator[ComfyClient]:
    known = way.settings
    token = known.token if with_token else None
    with ComfyClient(known.url, token, known.ca_file, known.connect_to, timeout=timeout) as client:
        yield client


def _name(way: _Way) -> str:
    try:
        found = socket.getaddrinfo(way.host, way.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise WrongError(
            f"{way.host} does not resolve: {error.strerror or error}",
            "an address",
            "correct the name, or the DNS; --connect-to HOST:PORT goes around it",
        ) from None
    way.addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
    return f"{way.host} is {', '.join(way.addresses)}"


def _port(way: _Way) -> str:
    begin = time.monotonic()
    try:
        socket.create_connection((way.host, way.port), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise WrongError(
            f"{way.host}:{way.port}: {error.strerror or error}",
            "a server that listens",
            "start IIS (or what stands in front), and look at the firewall's rule for the port",
        ) from None
    return f"{way.host}:{way.port} answers in {(time.monotonic() - begin) * 1000:.0f} ms"


def _certificate(way: _Way) -> str:
    known = way.settings
    name = str(parse_url(known.url).host)
    fix = "give --ca-file for a site of its own authority; see the page on certificates for the others"
    try:
        context = ssl.create_default_context(cafile=None if known.ca_file is None else str(known.ca_file))
        with (
            socket.create_connection((way.host, way.port), timeout=CONNECT_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=name) as tls,
        ):
            certificate, version = tls.getpeercert() or {}, tls.version()
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "verify_message", "") or error
        raise WrongError(f"no trusted TLS for {name}: {reason}", f"a certificate for {name}", fix) from None
    days = (ssl.cert_time_to_seconds(str(certificate["notAfter"])) - time.time()) / 86400
    if days < CERTIFICATE_DAYS:
        raise WrongError(
            f"the certificate of {name} ends in {days:.0f} days",
            f"at least {CERTIFICATE_DAYS} days, as a renewal that works leaves",
            "look at the renewal task on Windows",
        )
    return f"{version}, {days:.0f} days left"


def _door(way: _Way) -> str:
    if way.settings.token is None:
        return "not looked at: no token is given"
    with _client(way, 30, with_token=False) as client:
        try:
            client.system_stats()
        except AuthenticationError:
            return "closed to who has no token"
    raise WrongError(
        "the service answers without a token",
        "401",
        "this is ComfyUI itself, or the edge lets everybody in: close it before anything else",
    )


def _token(way: _Way, args: argparse.Namespace) -> str:
    with _client(way, args.timeout) as client:
        client.system_stats()
    return "accepted" if way.settings.token else "none is needed"


def _comfyui(client: ComfyClient) -> str:
    system = client.system_stats().get("system", {})
    free, total = (float(system.get(key, 0)) / 1024**3 for key in ("ram_free", "ram_total"))
    versions = f"ComfyUI {system.get('comfyui_version', '?')}, torch {system.get('pytorch_version', '?')}"
    return printable(f"{versions}, {free:.0f} of {total:.0f} GiB of memory free")


def _card(client: ComfyClient) -> str:
    devices = client.system_stats().get("devices") or [{}]
    device = devices[0]
    if device.get("type") != "cuda":
        raise WrongError(
            f"ComfyUI computes on {printable(str(device.get('name', 'nothing')))}",
            "a CUDA card",
            "the operator runs `make verify`; on purpose without a card, this is as it should be",
        )
    free, total = (float(device.get(key, 0)) / 1024**3 for key in ("vram_free", "vram_total"))
    return printable(f"{device.get('name')}, {free:.1f} of {total:.1f} GiB free")


def _workflows(client: ComfyClient) -> str:
    found = runnable(client)
    well = [name for name, findings in found.items() if not findings]
    if not set(graphs.EDITS) & set(well):
        lacking = next(iter(found[name] for name in graphs.EDITS if found[name]))
        raise WrongError(
            f"no edit can run: {'; '.join(lacking)}",
            "the nodes and models of one editing workflow",
            "`comfystack validate` lists them all",
        )
    return f"{len(well)} of {len(found)} can run"


def _websocket(client: ComfyClient) -> str:
    if not client.hears():
        raise WrongError(
            "the WebSocket does not open, or says nothing",
            "a greeting from ComfyUI",
            "IIS: the feature WebSocket Protocol, and the rule that empties Sec-WebSocket-Extensions",
        )
    return "opens and greets"


def _queue(client: ComfyClient) -> str:
    rows = jobs_of(client.queue())
    running = sum(row["state"] == "running" for row in rows)
    return f"{running} running, {len(rows) - running} waiting"


def _edit(client: ComfyClient, args: argparse.Namespace) -> str:
    found = runnable(client)
    name = next(name for name in reversed(graphs.EDITS) if not found[name])
    begin = time.monotonic()
    with ProgressDisplay(sys.stderr, args.json) as display:
        seen = edited(client, name, display)
    return f"{seen} in {time.monotonic() - begin:.1f} s"
