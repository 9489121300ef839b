"""TLS as the SNI and ip:port bindings of the sites say, read anew for every handshake."""

from __future__ import annotations

import hashlib
import ssl
import tempfile

from ..state import Binding, State, Store
from . import httpsys


def listener_context(store: Store) -> ssl.SSLContext:
    """The context of the HTTPS listener: it holds no certificate itself, each handshake finds its own."""
    listener = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    listener.minimum_version = ssl.TLSVersion.TLSv1_2
    made: dict[str, ssl.SSLContext] = {}

    def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
        state = store.read()
        material = _material(state, _binding(state, name))
        if material is None:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        key = hashlib.sha256(material.encode()).hexdigest()
        if key not in made:
            made[key] = _context(material)
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
            return f"{found['certificate_pem'].strip()}\n{found['key_pem'].strip()}\n"
    return None


def _context(material: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # The standard library loads keys from files only; this one is 0600 and gone at once.
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as stream:
        stream.write(material)
        stream.flush()
        context.load_cert_chain(stream.name)
    return context
