"""Which certificate a name gets: told from certificates that are really there, and from what IIS has bound."""

from __future__ import annotations

import base64
import runpy
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

ROOT = Path(__file__).resolve().parents[3]
FILTERS: dict[str, Callable[..., Any]] = runpy.run_path(
    str(ROOT / "ansible" / "plugins" / "filters" / "certificates.py")
)["FilterModule"]().filters()
NAME = "images.example.org"


def der(*names: str, days: int = 90) -> bytes:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    # A common name that no client looks at.
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=400)).not_valid_after(now + timedelta(days=days))
    if names:
        alternative = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(alternative, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def stored(store: str, *certificates: bytes, key: bool = True) -> list[dict[str, Any]]:
    """As win_certificate_info tells it on a Windows that speaks French: `dns_names` has the subject alone."""
    told = [
        {"raw": base64.b64encode(one).decode(), "has_private_key": key, "dns_names": [NAME]}
        for one in certificates
    ]
    found: list[dict[str, Any]] = FILTERS["stored_certificates"]([{"item": store, "certificates": told}])
    return found


def chosen(there: list[dict[str, Any]], thumbprint: str = "") -> str | None:
    found = FILTERS["certificates_for"]([NAME], there, thumbprint)
    return found[NAME]["thumbprint"] if found else None


def site(certificate: dict[str, Any] | None, **changes: Any) -> dict[str, Any]:
    binding = {
        "hostname": NAME,
        "protocol": "https",
        "port": 443,
        "use_sni": True,
        "certificate_hash": certificate["thumbprint"].lower() if certificate else "",
        "certificate_store_name": certificate["store"].lower() if certificate else "",
    }
    return {"name": NAME, "bindings": [{**binding, **changes}]}


def test_a_name_gets_the_certificate_that_serves_it_longest_whichever_store_has_it() -> None:
    short, long = stored("My", der(NAME, days=20)), stored("WebHosting", der(NAME, days=60))
    assert chosen(short + long) == chosen(long + short) == long[0]["thumbprint"]


def test_a_wildcard_stands_for_one_label_and_no_more() -> None:
    assert chosen(stored("My", der("*.example.org"))) is not None
    for other in ("*.images.example.org", "*.org", "example.org", "*.other.org"):
        assert chosen(stored("My", der(other))) is None, other


@pytest.mark.parametrize(
    ("there", "reason"),
    [
        (stored("My", der(NAME, days=-1)), "ended at"),
        (stored("My", der(NAME), key=False), "has no private key there"),
    ],
)
def test_one_that_cannot_serve_is_passed_over_with_its_reason(
    there: list[dict[str, Any]], reason: str
) -> None:
    assert chosen(there) is None
    (said,) = FILTERS["certificates_unfit"](there, NAME)
    assert said.startswith(f"{there[0]['thumbprint']} in My {reason}")


def test_a_common_name_alone_is_no_name() -> None:
    there = stored("My", der())
    assert chosen(there) is None
    (said,) = FILTERS["certificates_unfit"](there, NAME, there[0]["thumbprint"])
    assert said.endswith("is for no host name")


def test_a_thumbprint_as_windows_shows_it_leaves_one_certificate_in_question() -> None:
    wanted, other = stored("My", der(NAME, days=20)), stored("My", der(NAME, days=60))
    thumbprint = wanted[0]["thumbprint"].lower()
    # The copy from the certificate's window begins with an invisible mark.
    shown = "\u200e" + " ".join(thumbprint[i : i + 2] for i in range(0, 40, 2))
    assert chosen(wanted + other, shown) == wanted[0]["thumbprint"]
    assert chosen(other, shown) is None


class TestBindings:
    present = stored("WebHosting", der(NAME, days=60))
    better = stored("WebHosting", der(NAME, days=90))
    worse = stored("My", der(NAME, days=30))

    def written(self, wanted: dict[str, Any], *sites: dict[str, Any], keep_newer: bool = True) -> bool:
        there = self.present + self.better + self.worse
        return bool(FILTERS["bindings_to_write"]({NAME: wanted}, list(sites), there, keep_newer=keep_newer))

    def test_what_is_bound_is_not_bound_again(self) -> None:
        assert not self.written(self.present[0], site(self.present[0]))
        path = "Cert:\\LocalMachine\\WebHosting"
        assert not self.written(self.present[0], site(self.present[0], certificate_store_name=path))

    def test_a_renewal_is_followed_and_never_undone(self) -> None:
        assert self.written(self.better[0], site(self.present[0]))
        assert not self.written(self.worse[0], site(self.present[0]))

    def test_a_file_that_was_handed_over_is_bound_whatever_is_there(self) -> None:
        assert self.written(self.worse[0], site(self.present[0]), keep_newer=False)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"use_sni": False},
            {"port": 8443},
            {"hostname": "other.example.org"},
            {"certificate_store_name": "My"},
            {"certificate_hash": "00"},
        ],
    )
    def test_a_binding_that_is_not_the_names_own_is_written(self, wrong: dict[str, Any]) -> None:
        assert self.written(self.worse[0], site(self.present[0], **wrong))
        assert self.written(self.worse[0])

    def test_an_ended_certificate_gives_way(self) -> None:
        ended = stored("My", der(NAME, days=-1))
        assert FILTERS["bindings_to_write"](
            {NAME: self.worse[0]}, [site(ended[0])], self.worse + ended, keep_newer=True
        )
