"""A simulated Windows machine with one deployed site, a real backend behind it and a client before it."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import functools
import gzip
import inspect
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import jinja2
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from yarl import URL

from tests.lab.windows_host.winsim.iis import server
from tests.lab.windows_host.winsim.iis.replies import REASON
from tests.lab.windows_host.winsim.machine import install_modules, prepare
from tests.lab.windows_host.winsim.state import AppPool, Binding, PortProxy, Site, State, Store

NAME = "qwen-image-edit.comfystack.test"
ROOT = r"D:\sites\qwen"
TEMPLATE = Path(__file__).parents[3] / "iis" / "web.config.j2"
BACKEND_PORT = 8188
VARIABLES = [
    "HTTP_FORWARDED",
    "HTTP_SEC_WEBSOCKET_EXTENSIONS",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PORT",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_REAL_IP",
]


def render(**changes: Any) -> str:
    """The deployed web.config; an undefined variable is an error, as it is under Ansible."""
    values: dict[str, Any] = {
        "site": {"name": NAME, "backend_port": BACKEND_PORT},
        "iis_gateway_max_upload_bytes": 1_000_000,
        "iis_gateway_max_query_string_bytes": 8192,
        "_iis_gateway_redirect": True,
    }
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - Ansible does not escape either
    )
    return environment.from_string(TEMPLATE.read_text()).render(**{**values, **changes})


@functools.cache
def certificate(name: str) -> tuple[str, str, str]:
    """A self-signed certificate for `name`: thumbprint, certificate and key in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM).decode()
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return made.fingerprint(hashes.SHA1()).hex().upper(), pem, key_pem  # noqa: S303 - Windows names them so


def install(state: State, name: str) -> str:
    """Put a certificate for `name` into the machine's store; its thumbprint."""
    thumbprint, pem, key = certificate(name)
    state.certificates.setdefault("My", {})[thumbprint] = {
        "subject": f"CN={name}",
        "not_after": "2099-01-01T00:00:00Z",
        "certificate_pem": pem,
        "key_pem": key,
    }
    return thumbprint


def healthy(backend_port: int) -> State:
    """The state after a correct deployment."""
    state = State(
        features={"Web-Server": True, "Web-WebSockets": True},
        app_pools={"qwen": AppPool()},
        server_config={
            "system.webServer/proxy": {
                "enabled": True,
                "preserveHostHeader": True,
                "timeout": "01:00:00",
                "minResponseBuffer": 0,
                "includePortInXForwardedFor": False,
                "reverseRewriteHostInResponseHeaders": False,
                "arrResponseHeader": False,
            },
            "system.webServer/proxy/cache": {"enabled": False},
            "system.webServer/webSocket": {"enabled": True, "pingInterval": "00:00:30"},
        },
        allowed_server_variables=list(VARIABLES),
        portproxy=[PortProxy("127.0.0.1", BACKEND_PORT, "127.0.0.1", backend_port)],
    )
    thumbprint = install(state, NAME)
    state.sites["qwen"] = Site(
        site_id=7,
        physical_path=ROOT,
        application_pool="qwen",
        bindings=[
            Binding("http", 80, NAME),
            Binding("https", 443, NAME, use_sni=True, certificate_hash=thumbprint),
        ],
    )
    return state


@dataclass
class Seen:
    """What reached the backend."""

    raw_path: str
    host: str
    headers: dict[str, str]
    method: str = "GET"


@dataclass
class Backend:
    """A real aiohttp server with ComfyUI's habits: a WebSocket that offers compression and speaks first."""

    requests: list[Seen] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    abandoned: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def last(self) -> Seen:
        return self.requests[-1]

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._remember], client_max_size=2**30)
        app.router.add_get("/ws", self._socket)
        app.router.add_get("/ws-with-token", self._refusing_socket)
        app.router.add_post("/prompt", self._refuse)
        app.router.add_get("/slow", self._slow)
        app.router.add_get("/moved", self._moved)
        app.router.add_get("/moved-to-backend", self._moved_to_backend)
        app.router.add_get("/gzip", self._gzip)
        app.router.add_get("/private", self._private)
        app.router.add_get("/progress", self._progress)
        app.router.add_get("/picture", self._picture)
        app.router.add_route("*", "/{rest:.*}", self._echo)
        return app

    @web.middleware
    async def _remember(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        host = request.headers["Host"]
        self.requests.append(Seen(request.raw_path, host, headers, request.method))
        # ComfyUI's own guard: a loopback name is not for the pages of other names.
        if host.startswith("127.") and host not in headers.get("origin", host):
            return web.Response(status=403)
        return await handler(request)

    async def _echo(self, request: web.Request) -> web.Response:
        headers = {"Server": "secret/1.0", "X-Kept": "yes"}
        if "X-Echo-Encoding" in request.headers:
            headers["Content-Encoding"] = request.headers["X-Echo-Encoding"]
        return web.Response(body=await request.read(), headers=headers)

    async def _picture(self, request: web.Request) -> web.Response:
        # `control` and `cookie` are what the backend is to say about caching.
        headers = {"Cache-Control": request.query.get("control", "public, max-age=60")}
        if "cookie" in request.query:
            headers["Set-Cookie"] = "user=a"
        return web.Response(text=request.query["filename"], headers=headers)

    async def _refuse(self, request: web.Request) -> web.Response:
        await request.read()
        return web.json_response({"error": {"type": "value_not_in_list"}}, status=400)

    async def _slow(self, _: web.Request) -> web.Response:
        self.arrived.set()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.abandoned.set()
            raise
        return web.Response(text="at last")

    async def _moved(self, request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": f"http://{request.headers['Host']}/there"})

    async def _moved_to_backend(self, _: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": f"http://127.0.0.1:{BACKEND_PORT}/there"})

    async def _gzip(self, _: web.Request) -> web.Response:
        return web.Response(body=gzip.compress(b"page"), headers={"Content-Encoding": "gzip"})

    async def _private(self, request: web.Request) -> web.Response:
        return web.Response(status=200 if request.headers["Authorization"] == "Bearer aBc1" else 401)

    async def _progress(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"step 1\n")
        self.arrived.set()
        await self.release.wait()
        await response.write(b"step 2\n")
        return response

    async def _refusing_socket(self, _: web.Request) -> web.Response:
        return web.json_response({"detail": "no token"}, status=401)

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket_ = web.WebSocketResponse()
        await socket_.prepare(request)
        await socket_.send_json({"type": "status"})
        async for message in socket_:
            if message.data == "goodbye":
                await socket_.close(code=4001)
            elif message.type is aiohttp.WSMsgType.BINARY:
                await socket_.send_bytes(message.data)
            else:
                await socket_.send_str(f"echo {message.data}")
        return socket_


class _Here(AbstractResolver):
    """Every name is this machine."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [ResolveResult(hostname=host, host="127.0.0.1", port=port, family=family, proto=0, flags=0)]

    async def close(self) -> None:
        return None


@dataclass
class Machine:
    """What a test holds in its hands."""

    store: Store
    backend: Backend
    ports: server.Ports
    session: aiohttp.ClientSession

    def url(self, path: str, scheme: str = "https", name: str = NAME) -> str:
        port = self.ports.https if scheme == "https" else self.ports.http
        return f"{scheme}://{name}:{port}{path}"

    async def get(self, path: str, **options: Any) -> tuple[aiohttp.ClientResponse, str]:
        return await self.send("GET", path, **options)

    async def send(
        self, method: str, path: str, scheme: str = "https", name: str = NAME, **options: Any
    ) -> tuple[aiohttp.ClientResponse, str]:
        """The answer, redirects not followed, and its body as text, or else the simulator's reason for it."""
        url = URL(self.url(path, scheme, name), encoded=True)
        async with self.session.request(method, url, allow_redirects=False, **options) as response:
            return response, await response.text() or response.headers.get(REASON, "")

    def write(self, name: str, text: str) -> None:
        """A file of the site."""
        path = self.store.path(ROOT + "\\" + name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def configure(self, find: str, replace: str) -> None:
        """Change the deployed web.config in one place."""
        text = self.store.path(ROOT + r"\web.config").read_text()
        assert find in text, f"{find!r} is not in the web.config any more"
        self.write("web.config", text.replace(find, replace))

    def log_lines(self) -> list[str]:
        folder = self.store.path(r"C:\inetpub\logs\LogFiles\W3SVC7")
        return [line for path in folder.iterdir() for line in path.read_text().splitlines()]


@contextlib.asynccontextmanager
async def answering() -> AsyncIterator[tuple[Backend, int]]:
    """A backend and its loopback port."""
    backend = Backend()
    runner = web.AppRunner(
        backend.application(),
        access_log=None,
        shutdown_timeout=0.1,
        handler_cancellation=True,
        auto_decompress=False,
        # What is measured here are IIS's limits, not those of aiohttp.
        max_line_size=65_536,
        max_field_size=65_536,
    )
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield backend, runner.addresses[0][1]
    finally:
        backend.release.set()
        await runner.cleanup()


@contextlib.asynccontextmanager
async def in_front_of(backend: Backend, store: Store, trusted: str) -> AsyncIterator[Machine]:
    """IIS of the machine behind `store` on two free loopback ports; `trusted` is the client's CA in PEM."""
    trust = ssl.create_default_context(cadata=trusted)
    connector = aiohttp.TCPConnector(resolver=_Here(), ssl=trust, force_close=True)
    async with (
        server.listening(store, 0, 0, "127.0.0.1") as ports,
        aiohttp.ClientSession(connector=connector) as session,
    ):
        try:
            yield Machine(store, backend, ports, session)
        finally:
            backend.release.set()


@contextlib.asynccontextmanager
async def running(tmp_path: Path) -> AsyncIterator[Machine]:
    """A machine that serves a correct deployment."""
    store = Store(tmp_path)
    prepare(store)
    install_modules(store)
    async with answering() as (backend, port):
        with store.edit() as state:
            state.__dict__.update(healthy(port).__dict__)
        async with in_front_of(backend, store, certificate(NAME)[1]) as machine:
            machine.write("web.config", render())
            yield machine


Test = Callable[..., Awaitable[None]]


def on_machine(test: Test) -> Callable[..., None]:
    """Run an async test with a fresh machine as its first argument; others are pytest's."""

    def run(tmp_path: Path, **others: Any) -> None:
        async def inside() -> None:
            async with running(tmp_path) as machine:
                await asyncio.wait_for(test(machine, **others), 20)

        asyncio.run(inside())

    others = list(inspect.signature(test).parameters.values())[1:]
    tmp_path = inspect.Parameter("tmp_path", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    shown: Any = functools.update_wrapper(run, test)
    shown.__signature__ = inspect.Signature([tmp_path, *others])
    del shown.__wrapped__
    return run
