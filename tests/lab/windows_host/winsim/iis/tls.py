"""TLS as the SNI and ip:port bindings of the sites say, read anew for every handshake."""

from __future__ import annotations

import hashlib
import ssl
import tempfile
import warnings

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from ..state import Binding, State, Store
from . import httpsys

_PROTOCOLS = {
    "TLS 1.0": ssl.TLSVersion.TLSv1,
    "TLS 1.1": ssl.TLSVersion.TLSv1_1,
    "TLS 1.2": ssl.TLSVersion.TLSv1_2,
    "TLS 1.3": ssl.TLSVersion.TLSv1_3,
}
_SCHANNEL = r"system\currentcontrolset\control\securityproviders\schannel\protocols"


def oldest(state: State) -> ssl.TLSVersion:
    """The oldest TLS that Schannel speaks. Server 2022 has 1.0 and 1.1 on, where the registry says nothing.

    SSL 3.0 is off by default, and no OpenSSL of today has it. OpenSSL knows no gaps: 1.1 off and 1.0 on is 1.0 off.
    """
    refused = [
        version
        for name, version in _PROTOCOLS.items()
        if state.registry.get(rf"{_SCHANNEL}\{name}\server".lower(), {}).get("Enabled", ["", 1])[1] == 0
    ]
    return min(
        (v for v in _PROTOCOLS.values() if not refused or v > max(refused)), default=ssl.TLSVersion.TLSv1_3
    )


def _speaking(version: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with warnings.catch_warnings():
        # Python warns of versions that are outdated: that they are offered is what is simulated here.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = version
    if version < ssl.TLSVersion.TLSv1_2:
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
    return context


def listener_context(store: Store) -> ssl.SSLContext:
    """The context of the HTTPS listener: it holds no certificate itself, each handshake finds its own.

    Which versions of TLS are spoken is read now, at a boot, and not again before the next.
    """
    version = oldest(store.read())
    listener = _speaking(version)
    made: dict[str, ssl.SSLContext] = {}

    def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
        state = store.read()
        material = _material(state, _binding(state, name))
        if material is None:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        key = hashlib.sha256(material.encode()).hexdigest()
        if key not in made:
            made[key] = _context(material, version)
        connection.context = made[key]
        return None

    listener.sni_callback = choose
    return listener


def _binding(state: State, name: str | None) -> Binding | None:
    """The binding that http.sys takes: SNI by host name first, then any that claims the whole port."""
    secure = [binding for _, _, binding in httpsys.bindings(state, 443, "https")]
    for binding in secure:
        if binding.use_sni and name and binding.hostname.lower() == name.lower():
            return binding
    return next((binding for binding in secure if not binding.use_sni), None)


def _material(state: State, binding: Binding | None) -> str | None:
    """Certificate and key in PEM, or None where the binding leads to no usable certificate."""
    if binding is None or not binding.certificate_hash:
        return None
    store_name = (binding.certificate_store_name or "My").lower()
    thumbprint = binding.certificate_hash.upper()
    for name, certificates in state.certificates.items():
        if name.lower() != store_name:
            continue
        found = {key.upper(): value for key, value in certificates.items()}.get(thumbprint)
        if found and found.get("key_pem"):
            own = str(found["certificate_pem"])
            return "".join(f"{part.strip()}\n" for part in (own, found["key_pem"], *_issuers(state, own)))
    return None


def _issuers(state: State, pem: str) -> list[str]:
    """What Schannel sends with a certificate: its way up through the store CA, without the root."""
    between = [
        (x509.load_pem_x509_certificate(entry["certificate_pem"].encode()), str(entry["certificate_pem"]))
        for entry in state.certificates.get("CA", {}).values()
    ]
    way: list[str] = []
    last = x509.load_pem_x509_certificate(pem.encode())
    while issuer := next((one for one in between if _signed(last, one[0])), None):
        last = issuer[0]
        if issuer[1] in way:
            break
        way.append(issuer[1])
    return way


def _signed(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return certificate != issuer


def _context(material: str, version: ssl.TLSVersion) -> ssl.SSLContext:
    context = _speaking(version)
    # The standard library loads keys from files only; this one is 0600 and gone at once.
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as stream:
        stream.write(material)
        stream.flush()
        context.load_cert_chain(stream.name)
    return context
