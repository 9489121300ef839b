"""Which versions of TLS the simulated Windows speaks: what Schannel's registry said when it started."""

from __future__ import annotations

import asyncio
import ssl
import warnings
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests.lab.windows_host.winsim.iis import server
from tests.lab.windows_host.winsim.state import AppPool, Binding, Site, Store
from tests.unit.winsim.machine import new_authority

from .machine import NAME

KEY = r"system\currentcontrolset\control\securityproviders\schannel\protocols\{}\server"
OLD, NEW = ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A machine with one certificate bound."""
    fresh = Store(tmp_path)
    certificate, key = new_authority().issue(x509.DNSName(NAME))
    with fresh.edit() as state:
        state.features = {"Web-Server": True}
        state.app_pools["pool"] = AppPool()
        https = Binding("https", 443, NAME, use_sni=True, certificate_hash="A", certificate_store_name="My")
        state.sites[NAME] = Site(1, r"C:\site", "pool", bindings=[https])
        state.certificates["My"] = {
            "A": {
                "certificate_pem": certificate.public_bytes(serialization.Encoding.PEM).decode(),
                "key_pem": key.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.NoEncryption(),
                ).decode(),
            }
        }
    return fresh


def refuse(store: Store, *protocols: str) -> None:
    with store.edit() as state:
        for protocol in protocols:
            state.registry[KEY.format(protocol.lower())] = {"Enabled": ["dword", 0]}


def asking(version: ssl.TLSVersion) -> ssl.SSLContext:
    """A client that speaks this version of TLS and no other, and takes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    return context


async def _spoken(port: int, version: ssl.TLSVersion) -> str:
    try:
        _, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=asking(version), server_hostname=NAME
        )
    except (ssl.SSLError, ConnectionError):
        return ""
    spoken = str(writer.get_extra_info("ssl_object").version())
    writer.close()
    return spoken


def test_outdated_tls_is_spoken_until_the_restart_after_it_was_refused(store: Store) -> None:
    async def boots() -> None:
        async with server.listening(store, 0, 0, "127.0.0.1") as ports:
            assert await _spoken(ports.https, OLD) == "TLSv1.1"
            refuse(store, "TLS 1.0", "TLS 1.1")
            assert await _spoken(ports.https, OLD) == "TLSv1.1", "Schannel reads it when Windows starts"
        async with server.listening(store, 0, 0, "127.0.0.1") as ports:
            assert await _spoken(ports.https, OLD) == ""
            assert await _spoken(ports.https, NEW) == "TLSv1.2"
            assert await _spoken(ports.https, ssl.TLSVersion.TLSv1_3) == "TLSv1.3"

    asyncio.run(boots())
