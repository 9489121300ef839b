"""win_certificate_store and win_certificate_info on a store of real certificates and keys."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from .contract import Machine, Module, ModuleFailure, NotModelled, Option, Params, Result

# Stores every Windows Server 2022 has. WebHosting comes with IIS.
_STORES = ("My", "Root", "CA", "WebHosting")


def _store_name(machine: Machine, name: str) -> str:
    known = next((store for store in _STORES if store.lower() == name.lower()), None)
    if known == "WebHosting" and not machine.state.features.get("Web-Server"):
        known = None
    if known is None:
        raise ModuleFailure(f"unable to find store '{name}': (CertOpenStore failed)")
    return known


def thumbprint(certificate: x509.Certificate) -> str:
    """Windows' name of a certificate: SHA-1 of its DER form, upper case."""
    return certificate.fingerprint(hashes.SHA1()).hex().upper()  # noqa: S303


def _entry(certificate: x509.Certificate, key: Any) -> dict[str, Any]:
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    key_pem = None
    if key is not None:
        key_pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
    return {
        "subject": certificate.subject.rfc4514_string(),
        "not_after": certificate.not_valid_after_utc.isoformat(),
        "certificate_pem": pem,
        "key_pem": key_pem,
    }


def _load(content: bytes, password: str | None) -> list[tuple[x509.Certificate, Any]]:
    """The certificates of a file, each with its private key or None, in the file's order."""
    if content.lstrip().startswith(b"-----BEGIN CERTIFICATE-----"):
        return [(certificate, None) for certificate in x509.load_pem_x509_certificates(content)]
    try:
        return [(x509.load_der_x509_certificate(content), None)]
    except ValueError:
        pass
    try:
        bundle = pkcs12.load_pkcs12(content, password.encode() if password else None)
    except ValueError as error:
        raise ModuleFailure(
            "Failed to load cert from file: The specified network password is not correct. "
            f"(or the file is no certificate: {error})"
        ) from error
    pairs: list[tuple[x509.Certificate, Any]] = []
    if bundle.cert:
        pairs.append((bundle.cert.certificate, bundle.key))
    return pairs + [(extra.certificate, None) for extra in bundle.additional_certs]


def win_certificate_store(machine: Machine, params: Params) -> Result:
    store = machine.state.certificates.setdefault(_store_name(machine, params["store_name"]), {})
    if params["state"] == "absent":
        if not params["thumbprint"]:
            raise NotModelled("win_certificate_store state=absent without a thumbprint")
        wanted = params["thumbprint"].upper()
        return {"changed": store.pop(wanted, None) is not None, "thumbprints": [params["thumbprint"]]}
    if not params["path"]:
        raise ModuleFailure("state is present but all of the following are missing: path")
    source = machine.path(params["path"])
    if not source.is_file():
        raise ModuleFailure(f"File at '{params['path']}' either does not exist or is not a file")
    changed, thumbprints = False, []
    for certificate, key in _load(source.read_bytes(), params["password"]):
        name = thumbprint(certificate)
        thumbprints.append(name)
        here = store.get(name)
        if here is None or (key is not None and here["key_pem"] is None):
            store[name] = _entry(certificate, key)
            changed = True
    return {"changed": changed, "thumbprints": thumbprints}


def _text(name: x509.Name) -> str:
    values = name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(values[0].value) if values else ""


def _describe(name: str, entry: dict[str, Any]) -> dict[str, Any]:
    certificate = x509.load_pem_x509_certificate(entry["certificate_pem"].encode())
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        alternative = names.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        alternative = []

    def iso(moment: datetime) -> str:
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    return {
        "thumbprint": name,
        "friendly_name": "",
        "subject": entry["subject"],
        "issuer": certificate.issuer.rfc4514_string(),
        "issued_to": _text(certificate.subject),
        "issued_by": _text(certificate.issuer),
        "dns_names": [_text(certificate.subject), *alternative],
        "has_private_key": entry["key_pem"] is not None,
        "serial_number": f"{certificate.serial_number:X}",
        "valid_from": certificate.not_valid_before_utc.timestamp(),
        "valid_from_iso8601": iso(certificate.not_valid_before_utc),
        "valid_to": certificate.not_valid_after_utc.timestamp(),
        "valid_to_iso8601": iso(certificate.not_valid_after_utc),
        "raw": base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode(),
        "archived": False,
        "version": 3,
    }


def win_certificate_info(machine: Machine, params: Params) -> Result:
    # Get-ChildItem of a store that is not there finds nothing; only changing one asks for it by name.
    known = {name.lower(): name for name in _STORES}
    store = machine.state.certificates.get(known.get(params["store_name"].lower(), ""), {})
    wanted = params["thumbprint"].upper() if params["thumbprint"] else None
    found = [_describe(n, e) for n, e in sorted(store.items()) if wanted in (None, n)]
    return {"changed": False, "exists": bool(found), "certificates": found}


MODULES = {
    "ansible.windows.win_certificate_store": Module(
        win_certificate_store,
        {
            "path": Option("path"),
            "password": Option(),
            "thumbprint": Option(),
            "state": Option(
                default="present", choices=("absent", "exported", "present"), modelled=("absent", "present")
            ),
            "store_name": Option(default="My"),
            "store_location": Option(default="LocalMachine", modelled=("LocalMachine",)),
            "store_type": Option(default="system", modelled=("system",)),
            "key_exportable": Option("bool", True),
            "key_storage": Option(
                default="default", choices=("default", "machine", "user"), modelled=("machine",)
            ),
            "file_type": Option(default="der", choices=("der", "pem", "pkcs12"), modelled=("der",)),
        },
    ),
    "ansible.windows.win_certificate_info": Module(
        win_certificate_info,
        {
            "thumbprint": Option(),
            "store_name": Option(default="My"),
            "store_location": Option(default="LocalMachine", modelled=("LocalMachine",)),
        },
    ),
}
