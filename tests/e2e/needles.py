"""The lab's secrets, and the bytes by which each of them would be recognised where it should not be."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

# Secrets of one line, by the name of their file in the lab's build folder.
WORDS = ("token", "windows-password", "site-pfx-password")
PEM_KEYS = ("ssh/siteadmin", "ssh/host", "tls/winrm.key")
PFX = "tls/site.pfx"
# What the key inside the PFX file is called here: it is no file.
SITE_KEY = "key of site.pfx"


def _in_base64(secret: bytes) -> list[bytes]:
    """What is surely in the Base64 form of a text that holds `secret`, for each place where a group of three begins."""
    forms = []
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + secret)
        # A group that `secret` shares with its neighbours is left out at both ends.
        last = (before + len(secret)) // 3 * 4
        forms.append(encoded[4 if before else 0 : last])
    return forms


class Wanted(dict[str, list[bytes]]):
    """Name of a secret -> its forms. A failing test shows its variables: of this one, names alone."""

    def __repr__(self) -> str:
        return f"Wanted({', '.join(self)})"


def forms(secret: str) -> list[bytes]:
    """As it is, as PowerShell's UTF-16, and both in Base64, which is how Ansible carries scripts and parameters.

    Compressed, encrypted or with its Base64 on several lines it is not recognised.
    """
    plain, wide = secret.encode(), secret.encode("utf-16-le")
    return [plain, wide, *_in_base64(plain), *_in_base64(wide)]


def key_lines(pem: str) -> list[bytes]:
    """Whole lines of the key's Base64 body. From its second half: the first half is public, the same in every key."""
    body = [line for line in pem.splitlines() if line and not line.startswith("-----")]
    return [line.encode() for line in body[len(body) // 2 : -1] or body[-1:]]


def _of_bytes(content: bytes) -> list[bytes]:
    """A piece out of the middle, as it is and in Base64. Without line ends, because grep looks for lines."""
    piece = max(content[len(content) // 4 :].splitlines(), key=len)[:48]
    return [piece, *_in_base64(piece)]


def needles(build: Path) -> Wanted:
    """Name of each secret of the lab in `build` -> what to look for."""
    found = Wanted({name: forms((build / name).read_text().strip()) for name in WORDS})
    found.update({name: key_lines((build / name).read_text()) for name in PEM_KEYS})
    pfx = (build / PFX).read_bytes()
    found[PFX] = _of_bytes(pfx)
    key = pkcs12.load_pkcs12(pfx, (build / "site-pfx-password").read_text().strip().encode()).key
    assert key is not None
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    found[SITE_KEY] = key_lines(pem.decode())
    return found


def as_line(wanted: Wanted) -> str:
    """One line of JSON, as `look.py` reads it from its stdin."""
    return (
        json.dumps({name: [base64.b64encode(one).decode() for one in wanted[name]] for name in wanted}) + "\n"
    )


def within(data: bytes, wanted: Wanted) -> list[str]:
    """Names of the secrets that `data` holds."""
    return [name for name, forms in wanted.items() if any(form in data for form in forms)]
