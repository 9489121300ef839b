"""What is wrong with the certificate that a public name is served with, as whoever comes from outside meets it."""

from __future__ import annotations

import socket
import ssl
from datetime import UTC, datetime

# simple-acme renews after 55 of 90 days: with less than this left, renewing has failed for two weeks.
DAYS = 21


def problem(name: str, place: tuple[str, int], context: ssl.SSLContext) -> str:
    """Three lines on the certificate of `name` at `place` (address, port); "" where all is well.

    `context` has the trusted authorities; chain, dates and name are checked as a browser does.
    """
    try:
        with (
            socket.create_connection(place, timeout=30) as raw,
            context.wrap_socket(raw, server_hostname=name) as secured,
        ):
            certificate = secured.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        return _said(
            name,
            f"a certificate that is refused: {error.verify_message}",
            _STEPS.get(error.verify_code, _CHAIN),
        )
    except OSError as error:
        return _said(
            name, f"no TLS at {place[0]}:{place[1]}: {error}", "see whether IIS runs and port 443 is bound"
        )
    until = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)
    left = (until - datetime.now(UTC)).days
    if left < DAYS:
        return _said(
            name,
            f"a certificate that ends in {left} days, at {until:%Y-%m-%d %H:%M} UTC",
            "see why it was not renewed: docs/certificates.md, 'When a certificate ends soon'",
        )
    return ""


# X509_V_ERR_CERT_HAS_EXPIRED, X509_V_ERR_HOSTNAME_MISMATCH
_STEPS = {
    10: "renew it: docs/certificates.md, 'When a certificate ends soon'",
    62: "bind one that names it: deploy again, and see which certificate IIS has bound for the name",
}
_CHAIN = (
    "the chain must lead to an authority that clients trust: give the PFX with its intermediate certificates, or name "
    "the authority in site_ca_file"
)


def _said(name: str, found: str, step: str) -> str:
    expected = f"one for {name} with a whole chain, that lasts {DAYS} days or longer"
    return f"found: for {name}, {found}\nexpected: {expected}\nnext step: {step}"
