"""The simulated machine's memory: what Windows would keep between two Ansible runs.

One JSON document and one folder of real files. The control plane (WinRM) writes it, the data plane
(IIS and ARR) reads it for every request, so that a setting takes effect when it is made.
Names are compared as Windows does: without regard to case.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .scheduler import Scheduler


@dataclass
class Binding:
    """One IIS binding. `port` in 1..65535; `certificate_hash` is an upper-case SHA-1 thumbprint or None."""

    protocol: str
    port: int
    hostname: str = ""
    ip: str = "*"
    use_sni: bool = False
    certificate_hash: str | None = None
    certificate_store_name: str | None = None


@dataclass
class Site:
    """One IIS site; `state` is "started" or "stopped", `physical_path` a Windows path."""

    site_id: int
    physical_path: str
    application_pool: str = "DefaultAppPool"
    state: str = "started"
    bindings: list[Binding] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass
class AppPool:
    """One application pool; attributes as microsoft.iis names them ("managedRuntimeVersion", …)."""

    state: str = "started"
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass
class PortProxy:
    """One line of `netsh interface portproxy show v4tov4`."""

    listen_address: str
    listen_port: int
    connect_address: str
    connect_port: int


@dataclass
class State:
    """Everything the roles can change on the simulated machine, except files (see `Store.path`)."""

    features: dict[str, bool] = field(default_factory=dict)
    sites: dict[str, Site] = field(default_factory=dict)
    app_pools: dict[str, AppPool] = field(default_factory=dict)
    # applicationHost.config, server level: "system.webServer/proxy" -> {"enabled": True, …}
    server_config: dict[str, dict[str, Any]] = field(default_factory=dict)
    allowed_server_variables: list[str] = field(default_factory=list)
    # store name ("My", "WebHosting", "Root") -> thumbprint -> {"subject", "not_after", "certificate_pem",
    # "key_pem" (None without a private key)}
    certificates: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    portproxy: list[PortProxy] = field(default_factory=list)
    firewall_rules: dict[str, dict[str, Any]] = field(default_factory=dict)
    scheduled_tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    # distribution name -> {"state": "Running"|"Stopped", "guest": DNS name of the container behind it,
    # "address": the guest's own, "owner": the account that it belongs to}
    wsl_distributions: dict[str, dict[str, Any]] = field(default_factory=dict)
    # Local accounts that were made here: name -> {"password": a fingerprint, "groups": SIDs, …}; who has which right;
    # the length that a password must have.
    users: dict[str, dict[str, Any]] = field(default_factory=dict)
    user_rights: dict[str, list[str]] = field(default_factory=dict)
    least_password: int = 0
    # service name -> {"display_name", "state": "started"|"stopped", "start_mode": "auto"|"manual"|…}
    services: dict[str, dict[str, Any]] = field(default_factory=dict)
    # What a test does to the machine: files that a program holds open; programs that listen, each with "name", "pid",
    # "port" and "address"; the module during which WinRM drops, once.
    held_files: list[str] = field(default_factory=list)
    listeners: list[dict[str, Any]] = field(default_factory=list)
    drops_during: str = ""
    # name -> what a backup of appcmd holds (iis_backup_models.configuration)
    iis_backups: dict[str, dict[str, Any]] = field(default_factory=dict)
    # product code of Windows Installer, in upper case -> name
    products: dict[str, str] = field(default_factory=dict)
    # key below HKLM, in lower case -> name of a value -> [type, data]
    registry: dict[str, dict[str, list[Any]]] = field(default_factory=dict)
    # Windows features that are installed with the next boot
    features_pending: list[str] = field(default_factory=list)
    # "server-2022" or "windows-11": machine.py says what each is
    flavour: str = "server-2022"
    # Container that plays the guest; whether the firmware lets it run; the cards, with "name" and "driver_model"
    guest: str = "gpu-host"
    virtualization: bool = True
    cards: list[dict[str, str]] = field(default_factory=list)
    # How often the machine has started, and how often a guest of WSL has
    boots: int = 0
    wsl_starts: int = 0


def _decode(document: dict[str, Any]) -> State:
    sites = {
        name: Site(**{**raw, "bindings": [Binding(**b) for b in raw["bindings"]]})
        for name, raw in document.pop("sites").items()
    }
    pools = {name: AppPool(**raw) for name, raw in document.pop("app_pools").items()}
    proxies = [PortProxy(**raw) for raw in document.pop("portproxy")]
    return State(sites=sites, app_pools=pools, portproxy=proxies, **document)


class Store:
    """The state on disk: `root/state.json` and the drives under `root/drives/<letter>/`.

    Writes are atomic (temporary file, then rename), so that a killed simulator never leaves half a state.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = threading.RLock()
        # What a boot loses. Passwords of the users file; the time of the boot (FILETIME); Task Scheduler; the
        # distributions that a client holds, and when each was used last; how the machine goes down; the URL prefixes
        # that programs have registered with http.sys, each with what answers there (path -> text, or None).
        self.accounts: dict[str, str] = {}
        self.booted = 0
        self.scheduler: Scheduler | None = None
        self.held: set[str] = set()
        self.used: dict[str, float] = {}
        self.restart: Callable[[float], None] | None = None
        self.url_listeners: dict[str, Callable[[str], str | None]] = {}
        (root / "drives" / "c").mkdir(parents=True, exist_ok=True)

    def read(self) -> State:
        """The current state; a fresh `State` where the machine has none yet."""
        with self._lock:
            try:
                return _decode(json.loads((self.root / "state.json").read_text()))
            except FileNotFoundError:
                return State()

    @contextmanager
    def edit(self) -> Iterator[State]:
        """The state, written back when the block ends without an exception."""
        with self._lock:
            state = self.read()
            yield state
            handle, name = tempfile.mkstemp(dir=self.root, prefix=".state-")
            with os.fdopen(handle, "w") as stream:
                json.dump(asdict(state), stream, indent=1, sort_keys=True)
            Path(name).replace(self.root / "state.json")

    def path(self, windows_path: str) -> Path:
        r"""The real path behind `C:\Some\File`, found without regard to case.

        Raises ValueError for a path that is not absolute with a drive letter.
        """
        pure = PureWindowsPath(windows_path)
        if not pure.drive or not pure.root:
            raise ValueError(f"not an absolute Windows path: {windows_path!r}")
        here = self.root / "drives" / pure.drive[0].lower()
        for part in pure.parts[1:]:
            if part == "..":
                raise ValueError(f"a path with '..' is not modelled: {windows_path!r}")
            wanted = part.lower()
            match = (
                next((c for c in here.iterdir() if c.name.lower() == wanted), None) if here.is_dir() else None
            )
            here = match or here / part
        return here
