r"""wacs.exe: simple-acme 2.3 as its reference of the command line and its source (commit 65bb286) have it.

It takes the arguments below with the values below, and ends with an error on anything else. Renewals stand in
C:\ProgramData\simple-acme\<address of the server>\<id>.renewal.json, and one daily task of SYSTEM renews what is due.
Who signs is asked by a real ACME client (acme_client.py), which proves the name through http.sys.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from . import acme_client
from .acme_client import Refused
from .scheduler import Launch, Ran, program
from .state import Binding, Site, State, Store

log = logging.getLogger("winsim.wacs")

FAILED = -1
# ScheduledTask.RenewalDays, .StartBoundary, .RandomDelay and .ExecutionTimeLimit of its settings.json.
RENEWAL_DAYS = 55
_START, _RANDOM_DELAY, _TIME_LIMIT = "09:00:00", "PT4H", "PT2H"
# http.sys asks a strong wildcard before the host names of IIS: no site and no web.config sees a challenge.
CHALLENGES = "http://+:80/.well-known/acme-challenge/"

# Argument -> the values that are modelled; None takes any.
_VALUES: dict[str, tuple[str, ...] | None] = {
    "source": ("iis",),
    "siteid": None,
    "host": None,
    "validation": ("selfhosting",),
    "store": ("certificatestore",),
    "certificatestore": ("My", "WebHosting"),
    "installation": ("iis",),
    "installationsiteid": None,
    "emailaddress": None,
    "baseuri": None,
}
_SWITCHES = ("accepttos", "renew", "force", "setuptaskscheduler")
# What each of its uses needs; nothing may be missing, and nothing else may be there.
_CREATE = {*_VALUES, "accepttos"}
_OTHERS = {"renew": {"renew", "baseuri"}, "setuptaskscheduler": {"setuptaskscheduler", "baseuri"}}


class WacsError(Exception):
    """It ends with -1; the text is what it says."""


def _parse(words: list[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name = word.removeprefix("--")
        if name == word or name not in (*_VALUES, *_SWITCHES):
            raise WacsError(f"Unknown argument {word} (or one that the Windows simulator does not model)")
        if name in given:
            raise WacsError(f"Duplicate argument --{name}")
        if name in _SWITCHES:
            given[name] = ""
            continue
        if not rest or rest[0].startswith("--"):
            raise WacsError(f"Missing value of --{name}")
        given[name] = rest.pop(0)
        allowed = _VALUES[name]
        if allowed is not None and given[name] not in allowed:
            raise WacsError(f"The Windows simulator does not model --{name} {given[name]}")
    wanted = next((needs for switch, needs in _OTHERS.items() if switch in given), _CREATE)
    if wrong := (set(given) - ({"force"} if "renew" in given else set())) ^ wanted:
        raise WacsError(
            f"The Windows simulator models no wacs.exe with or without {', '.join(sorted(wrong))}"
        )
    return given


def folder(store: Store, base_uri: str) -> Path:
    """Where the settings for one server are."""
    return store.path(rf"C:\ProgramData\simple-acme\{_clean(base_uri)}")


def _clean(base_uri: str) -> str:
    return re.sub(r'[\\/:*?"<>|]', "", re.sub(r"^https?://", "", base_uri))


def task_path(base_uri: str) -> str:
    """Its task in Task Scheduler."""
    return rf"\simple-acme renew ({_clean(base_uri)})"


@program("wacs.exe")
def run(launch: Launch) -> Ran:
    """`wacs.exe` with these arguments, unattended."""
    said: list[str] = []
    try:
        given = _parse(launch.arguments)
        if "renew" in given:
            _renew(launch.store, given["baseuri"], "force" in given, said)
        else:
            if "source" in given:
                _create(launch.store, given, said)
            _ensure_task(launch.store, given["baseuri"], launch.path)
    except WacsError as error:
        said.append(str(error))
        log.error("wacs.exe: %s", error)
        return Ran(FAILED, said="\r\n".join(said))
    return Ran(0, said="\r\n".join(said))


def _site(state: State, site_id: str) -> tuple[str, Site]:
    for name, site in state.sites.items():
        if str(site.site_id) == site_id:
            return name, site
    raise WacsError(f"invalid site {site_id}")


def _create(store: Store, given: dict[str, str], said: list[str]) -> None:
    """A renewal for a host name of a site, obtained and installed at once. What fails is not kept."""
    host = given["host"].lower()
    name, site = _site(store.read(), given["siteid"])
    _site(store.read(), given["installationsiteid"])
    if not any(b.hostname.lower() == host for b in site.bindings):
        raise WacsError("Source plugin IIS was unable to generate the certificate parameters.")
    friendly = f"[IIS] {name}, {host}"
    said.append(f"Source generated using plugin IIS: {host}")
    here = folder(store, given["baseuri"])
    here.mkdir(parents=True, exist_ok=True)
    known = [r for r in renewals(store, given["baseuri"]) if r["LastFriendlyName"] == friendly]
    document: dict[str, Any] = {
        "$schema": "https://simple-acme.com/schema/renewal.json",
        "Id": known[0]["Id"] if known else secrets.token_urlsafe(16).replace("-", "a"),
        "EndPoint": given["baseuri"],
        "LastFriendlyName": friendly,
        "TargetPluginOptions": {
            "IncludeHosts": [host],
            "IncludeSiteIds": [site.site_id],
            "Plugin": "54deb3ee-b5df-4381-8485-fe386054055b",
        },
        "ValidationPluginOptions": {"Plugin": "c7d5e050-9363-4ba1-b3a8-931b31c618b7"},
        "StorePluginOptions": [
            {"StoreName": given["certificatestore"], "Plugin": "e30adc8e-d756-4e16-a6f2-450f784b1a97"}
        ],
        "InstallationPluginOptions": [
            {"SiteId": int(given["installationsiteid"]), "Plugin": "ea6a5be3-f8de-4d27-a6bd-750b619b2ee2"}
        ],
        "History": known[0]["History"] if known else [],
    }
    if known:
        said.append("Overwriting previously created renewal")
    (here / "Registration_v2").write_text(json.dumps({"contact": [f"mailto:{given['emailaddress']}"]}))
    _obtain(store, document, said)
    _save(here, document)
    said.append(f"Certificate {friendly} created")


def _renew(store: Store, base_uri: str, force: bool, said: list[str]) -> None:
    """What is due is renewed, with --force all of it; one that fails does not keep the others from it."""
    failures = 0
    for document in renewals(store, base_uri):
        if not (force or _due(document)):
            said.append(f"Renewal for {document['LastFriendlyName']} is not due")
            continue
        try:
            _obtain(store, document, said)
        except WacsError as error:
            failures += 1
            said.append(f"Renewal for {document['LastFriendlyName']} failed: {error}")
            document["History"].append(
                {"Date": _now(), "Success": False, "ErrorMessages": [str(error)], "OrderResults": []}
            )
        else:
            said.append(f"Renewal for {document['LastFriendlyName']} succeeded")
        _save(folder(store, base_uri), document)
    if failures:
        raise WacsError(f"{failures} renewals failed")


def renewals(store: Store, base_uri: str) -> list[dict[str, Any]]:
    """The renewals for one server, as they stand in their files."""
    return [json.loads(file.read_text()) for file in sorted(folder(store, base_uri).glob("*.renewal.json"))]


def _save(here: Path, document: dict[str, Any]) -> None:
    (here / f"{document['Id']}.renewal.json").write_text(json.dumps(document, indent=2))


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _due(document: dict[str, Any]) -> bool:
    dates = [datetime.fromisoformat(r["Date"]) for r in document["History"] if r["Success"]]
    return not dates or max(dates) + timedelta(days=RENEWAL_DAYS) < datetime.now(UTC)


def _obtain(store: Store, document: dict[str, Any], said: list[str]) -> None:
    """Ask, prove, store, bind; the history says how it went. Raises WacsError before anything is stored or bound."""
    (host,) = document["TargetPluginOptions"]["IncludeHosts"]
    here = folder(store, document["EndPoint"])
    contact = json.loads((here / "Registration_v2").read_text())["contact"][0]
    answers: dict[str, str] = {}
    said.append(f"[{host}] Authorizing using http-01 validation (SelfHosting)")
    store.url_listeners[CHALLENGES] = answers.get
    try:
        key, chain = acme_client.order(
            document["EndPoint"],
            "".join(c["certificate_pem"] for c in store.read().certificates.get("Root", {}).values()),
            acme_client.read_or_make_key(here / "Signer_v2"),
            contact.removeprefix("mailto:"),
            host,
            answers.__setitem__,
        )
    except Refused as refused:
        raise WacsError(f"[{host}] {refused}\r\nCreate certificate failed") from refused
    finally:
        store.url_listeners.pop(CHALLENGES, None)
    before = next((r["OrderResults"][0]["Thumbprint"] for r in document["History"][::-1] if r["Success"]), "")
    with store.edit() as state:
        thumbprint, until = _store(state, document["StorePluginOptions"][0]["StoreName"], key, chain)
        _install(state, document, host, before, thumbprint)
        if before:
            # Without --keepexisting the one before leaves the store.
            state.certificates[document["StorePluginOptions"][0]["StoreName"]].pop(before, None)
    result = {"Name": "main", "Success": True, "Thumbprint": thumbprint, "ExpireDate": until.isoformat()}
    document["History"].append({"Date": _now(), "Success": True, "OrderResults": [result]})


def _store(state: State, store_name: str, key: bytes, chain: str) -> tuple[str, datetime]:
    """The certificate with its key, and the authorities between it and the root in the store CA."""
    own, issuers = acme_client.leaf_and_issuers(chain)
    for pem, name in [(own, store_name), *((issuer, "CA") for issuer in issuers)]:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        thumbprint = certificate.fingerprint(hashes.SHA1()).hex().upper()  # noqa: S303 - Windows' name for it
        state.certificates.setdefault(name, {})[thumbprint] = {
            "subject": certificate.subject.rfc4514_string(),
            "not_after": certificate.not_valid_after_utc.isoformat(),
            "certificate_pem": pem,
            "key_pem": key.decode() if pem == own else None,
        }
    leaf = x509.load_pem_x509_certificate(own.encode())
    return leaf.fingerprint(hashes.SHA1()).hex().upper(), leaf.not_valid_after_utc  # noqa: S303


def _install(state: State, document: dict[str, Any], host: str, before: str, thumbprint: str) -> None:
    """Bindings of the certificate before, wherever; then those of the host in its site; then a new one with SNI."""
    options = document["InstallationPluginOptions"][0]
    store_name = document["StorePluginOptions"][0]["StoreName"]
    _, site = _site(state, str(options["SiteId"]))
    bound = [b for s in state.sites.values() for b in s.bindings if before and b.certificate_hash == before]
    own = [b for b in site.bindings if b.protocol == "https" and b.hostname.lower() == host]
    if not own:
        own = [Binding("https", 443, host, "*", use_sni=True)]
        site.bindings += own
    for binding in [*bound, *own]:
        binding.certificate_hash, binding.certificate_store_name = thumbprint, store_name


def _ensure_task(store: Store, base_uri: str, executable: str) -> None:
    """Its own task is made once, and then left as it is."""
    with store.edit() as state:
        state.scheduled_tasks.setdefault(
            task_path(base_uri),
            {
                "actions": [
                    {
                        "path": f'"{executable}"' if " " in executable else executable,
                        "arguments": f'--renew --baseuri "{base_uri}"',
                        "working_directory": executable.rpartition("\\")[0],
                    }
                ],
                "triggers": [
                    {
                        "type": "daily",
                        "start_boundary": f"{datetime.now(UTC):%Y-%m-%d}T{_START}",
                        "random_delay": _RANDOM_DELAY,
                    }
                ],
                "username": "SYSTEM",
                "logon_type": "service_account",
                "password": "",
                "run_level": "highest",
                "enabled": True,
                "description": "Check for renewal of ACME certificates.",
                "settings": {
                    "execution_time_limit": _TIME_LIMIT,
                    "multiple_instances": 2,
                    "restart_count": 0,
                    "restart_interval": "",
                    "disallow_start_if_on_batteries": False,
                    "stop_if_going_on_batteries": False,
                    "start_when_available": True,
                },
            },
        )
