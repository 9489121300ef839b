"""Certificates of the gateway, described alike wherever they lie: in a PFX file, or in a store of Windows.

A description has `thumbprint` (SHA-1, upper case, Windows' name of a certificate), `names` (DNS names, lower case),
`not_after` (seconds since 1970), `until` (the same for people, UTC), `has_key`, and `store` ("" in a file).
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import pkcs12

Description = dict[str, Any]


def _description(certificate: x509.Certificate, store: str, has_key: bool) -> Description:
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = alternative.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        # The common name does not count: no browser looks at it any more.
        names = []
    return {
        "store": store,
        "thumbprint": certificate.fingerprint(hashes.SHA1()).hex().upper(),  # noqa: S303 - Windows' name for it
        "names": sorted({name.lower() for name in names}),
        "not_after": certificate.not_valid_after_utc.timestamp(),
        "until": certificate.not_valid_after_utc.strftime("%Y-%m-%d %H:%M UTC"),
        "has_key": has_key,
    }


def pfx_certificate(path: str, password: str) -> Description:
    """The certificate in a PFX file of the controller; `problem` says why there is none, "" otherwise.

    Nothing of the password or of the key is in the answer.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        return {"problem": f"no readable file ({error.strerror})"}
    try:
        key, certificate, others = pkcs12.load_key_and_certificates(content, password.encode())
    except ValueError:
        return {"problem": "a file that its password does not open, or that is no PFX"}
    if key is None and (certificate or others):
        return {"problem": "certificates without a private key"}
    if certificate is None:
        return {"problem": "no certificate that belongs to a private key"}
    return {**_description(certificate, "", True), "problem": ""}


def stored_certificates(looks: list[dict[str, Any]]) -> list[Description]:
    """What a loop of ansible.windows.win_certificate_info over store names has found.

    Read from `raw`: the module's own `dns_names` are empty on a Windows that does not speak English, because it
    compares with the English label of Windows' own text.
    """
    return [
        _description(
            x509.load_der_x509_certificate(base64.b64decode(found["raw"])),
            look["item"],
            bool(found["has_private_key"]),
        )
        for look in looks
        for found in look.get("certificates") or []
    ]


def covers(certificate: Description, name: str) -> bool:
    """Whether a browser takes the certificate for the host name; a wildcard stands for one label."""
    return name in certificate["names"] or f"*.{name.partition('.')[2]}" in certificate["names"]


def unfit(certificate: Description, name: str) -> str:
    """Why the certificate cannot serve the name today; "" where it can."""
    if not covers(certificate, name):
        return f"is for {', '.join(certificate['names']) or 'no host name'}"
    if not certificate["has_key"]:
        return "has no private key there"
    if certificate["not_after"] <= time.time():
        return f"ended at {certificate['until']}"
    return ""


def _in_question(stored: list[Description], thumbprint: str) -> list[Description]:
    asked = re.sub(r"[^0-9A-F]", "", thumbprint.upper())
    return [one for one in stored if asked in ("", one["thumbprint"])]


def certificates_for(
    names: list[str], stored: list[Description], thumbprint: str = ""
) -> dict[str, Description]:
    """For each name the certificate that serves it longest; a name without one is not in the answer.

    With `thumbprint` that certificate alone comes into question.
    """
    chosen = {}
    for name in names:
        fit = [one for one in _in_question(stored, thumbprint) if not unfit(one, name)]
        if fit:
            chosen[name] = max(fit, key=lambda one: float(one["not_after"]))
    return chosen


def certificates_unfit(stored: list[Description], name: str, thumbprint: str = "") -> list[str]:
    """Why none of those that come into question serves the name: one reason for each that is near to it."""
    return [
        f"{one['thumbprint']} in {one['store']} {unfit(one, name)}"
        for one in _in_question(stored, thumbprint)
        if thumbprint or covers(one, name)
    ]


def bindings_to_write(
    wanted: dict[str, Description], sites: list[dict[str, Any]], stored: list[Description], keep_newer: bool
) -> dict[str, Description]:
    """Of `wanted` (name -> certificate) what IIS does not have bound yet, with SNI on port 443.

    `sites` is what microsoft.iis.website_info tells. With `keep_newer` a name keeps the certificate that it has
    where that one serves it as long or longer: who renews it, knows it better.
    """
    bound = {
        binding["hostname"].lower(): binding
        for site in sites
        for binding in site["bindings"]
        if binding["protocol"] == "https" and binding["port"] == 443 and binding["use_sni"]
    }
    known = {(one["store"].lower(), one["thumbprint"]): one for one in stored}

    def stays(name: str, certificate: Description) -> bool:
        binding = bound.get(name)
        if binding is None:
            return False
        there = _place(binding)
        if there == (certificate["store"].lower(), certificate["thumbprint"]):
            return True
        present = known.get(there)
        return (
            keep_newer
            and present is not None
            and not unfit(present, name)
            and bool(present["not_after"] >= certificate["not_after"])
        )

    return {name: certificate for name, certificate in wanted.items() if not stays(name, certificate)}


def names_unkept(
    names: list[str], sites: list[dict[str, Any]], stored: list[Description], renewed: list[str]
) -> dict[str, int]:
    """Of `names` those that no renewal keeps in a certificate, each with the number of its site.

    `renewed` are simple-acme's renewals, "host name/number of the site/thumbprint". A name is kept where one of them is
    for it and its site, and its certificate is what is bound and serves the name today: how long it lasts is not asked.
    """
    known = {(one["store"].lower(), one["thumbprint"]): one for one in stored}
    kept = {pair.lower() for pair in renewed}

    def keeps(site: dict[str, Any], name: str) -> bool:
        bound = [known.get(_place(binding)) for binding in _bindings(site, name)]
        return any(
            f"{name}/{site['site_id']}/{one['thumbprint']}".lower() in kept and not unfit(one, name)
            for one in bound
            if one is not None
        )

    found = {site["name"]: site for site in sites}
    return {
        name: int(found[name]["site_id"]) for name in names if name in found and not keeps(found[name], name)
    }


def _bindings(site: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The site's bindings for the name on port 443, with SNI."""
    return [
        binding
        for binding in site["bindings"]
        if binding["protocol"] == "https"
        and binding["port"] == 443
        and binding["use_sni"]
        and binding["hostname"].lower() == name
    ]


def _place(binding: dict[str, Any]) -> tuple[str, str]:
    """Store (lower case) and thumbprint of what is bound.

    IIS says "WebHosting" or "webhosting", microsoft.iis also the whole path of the store.
    """
    store = str(binding["certificate_store_name"]).replace("\\", "/").rpartition("/")[2].lower()
    return store, str(binding["certificate_hash"]).upper()


def authority_problem(path: str) -> str:
    """Why a PEM file of the controller is no certificate of one authority; "" where it is."""
    try:
        found = x509.load_pem_x509_certificates(Path(path).read_bytes())
        constraints = found[0].extensions.get_extension_for_class(x509.BasicConstraints).value
    except OSError as error:
        return f"no readable file ({error.strerror})"
    except ValueError:
        return "no PEM file of a certificate"
    except x509.ExtensionNotFound:
        return "a certificate that signs no others"
    if len(found) != 1:
        return f"{len(found)} certificates"
    return "" if constraints.ca else "a certificate that signs no others"


def is_stored(path: str, look: dict[str, Any]) -> bool:
    """Whether a store of Windows, as win_certificate_info found it, has the certificate of the controller's file."""
    certificate = x509.load_pem_x509_certificate(Path(path).read_bytes())
    wanted = _description(certificate, "", False)["thumbprint"]
    return wanted in {str(found["thumbprint"]).upper() for found in look.get("certificates") or []}


class FilterModule:
    """What Ansible looks for in a file of filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "pfx_certificate": pfx_certificate,
            "stored_certificates": stored_certificates,
            "certificates_for": certificates_for,
            "certificates_unfit": certificates_unfit,
            "certificate_unfit": unfit,
            "bindings_to_write": bindings_to_write,
            "names_unkept": names_unkept,
            "authority_problem": authority_problem,
            "is_stored": is_stored,
        }
