"""A real ACME client (RFC 8555), in the place of the one inside simple-acme: Certbot's library `acme`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import requests
from acme import challenges, client, crypto_util, errors, messages
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from josepy.jwk import JWKRSA

# Settings of simple-acme: Csr.Rsa.KeyBits; RetryCount times RetryInterval.
KEY_BITS = 3072
PATIENCE = timedelta(seconds=15 * 5)


class Refused(Exception):
    """The authority, or the way to it, says no; the text is the reason in its own words."""


def new_key() -> bytes:
    """An RSA key in PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def order(
    directory: str,
    roots: str,
    account_key: bytes,
    email: str,
    host: str,
    answer: Callable[[str, str], None],
) -> tuple[bytes, str]:
    """Key and chain (PEM, the certificate first) for `host`, proved by HTTP-01. Raises Refused.

    `roots` are the authorities (PEM) that the server at the URL `directory` is trusted by. `answer` is told the path
    that the authority will ask for, and the text to answer with.
    """
    if not roots:
        # The machine knows no public authority; .NET's words for one that it does not know.
        raise Refused(
            "The remote certificate is invalid because of errors in the certificate chain: UntrustedRoot"
        )
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as trusted:
        trusted.write(roots)
        trusted.flush()
        try:
            return _order(directory, trusted.name, account_key, email, host, answer)
        except messages.Error as error:
            raise Refused(f"{error.typ}: {error.detail}") from error
        except errors.ValidationError as error:
            raise Refused(_why_invalid(error)) from error
        except (errors.Error, requests.RequestException, OSError) as error:
            raise Refused(f"{type(error).__name__}: {error}") from error


def _order(
    directory: str,
    trusted: str,
    account_key: bytes,
    email: str,
    host: str,
    answer: Callable[[str, str], None],
) -> tuple[bytes, str]:
    account = JWKRSA(key=serialization.load_pem_private_key(account_key, None))
    # requests takes a file in the place of True; the library hands the value on.
    network = client.ClientNetwork(account, verify_ssl=trusted, user_agent="winsim")  # type: ignore[arg-type]
    server = client.ClientV2(client.ClientV2.get_directory(directory, network), network)
    wanted = messages.NewRegistration.from_data(email=email, terms_of_service_agreed=True)
    try:
        server.new_account(wanted)
    except errors.ConflictError as known:
        network.account = messages.RegistrationResource(uri=known.location, body=messages.Registration())
    key = new_key()
    placed = server.new_order(crypto_util.make_csr(key, [host]))
    for authorization in placed.authorizations:
        if authorization.body.status == messages.STATUS_VALID:
            continue
        offered = next(c for c in authorization.body.challenges if isinstance(c.chall, challenges.HTTP01))
        response, text = offered.response_and_validation(account)
        answer(offered.chall.path, text)
        server.answer_challenge(offered, response)
    done = server.poll_and_finalize(placed, datetime.now() + PATIENCE)
    return key, str(done.fullchain_pem)


def _why_invalid(error: errors.ValidationError) -> str:
    reasons = [
        f"{challenge.error.typ}: {challenge.error.detail}"
        for authorization in error.failed_authzrs
        for challenge in authorization.body.challenges
        if challenge.error is not None
    ]
    return "; ".join(reasons) or "the authority could not validate the name"


def leaf_and_issuers(chain: str) -> tuple[str, list[str]]:
    """The certificate of a PEM chain, and those that come after it."""
    end = "-----END CERTIFICATE-----"
    parts = [f"{part.strip()}\n{end}\n" for part in chain.split(end) if part.strip()]
    return parts[0], parts[1:]


def read_or_make_key(path: Path) -> bytes:
    """The key in a file, made where there is none."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(new_key())
    return path.read_bytes()
