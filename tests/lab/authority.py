"""Pebble's root certificate: new at each of its starts, and trusted by whoever trusts the lab."""

from __future__ import annotations

from pathlib import Path

from docker.models.containers import Container

from .console import LabError

_END = "-----END CERTIFICATE-----"
# From inside of its own container, where nobody else can answer in its place.
_ASK = ["curl", "-sSf", "--max-time", "5", "--insecure", "https://127.0.0.1:15000/roots/0"]


def _ask(acme: Container) -> tuple[int, str]:
    code, output = acme.exec_run(_ASK)
    return int(code or 0), output.decode(errors="replace") if isinstance(output, bytes) else ""


def answers(acme: Container) -> bool:
    """Whether pebble is up."""
    return _ask(acme)[0] == 0


def trust(acme: Container, build: Path) -> None:
    """Adds the root to ca.pem in the lab's folder; those of earlier starts stay, for what they have signed."""
    code, root = _ask(acme)
    if code or _END not in root:
        raise LabError(
            found=f"pebble does not hand out its root: {root.strip()}",
            expected="a certificate at https://127.0.0.1:15000/roots/0 of the container",
            next_step="`make lab-reset`",
        )
    bundle = build / "ca.pem"
    known = bundle.read_text()
    if root.strip() not in known:
        bundle.write_text(f"{known.rstrip()}\n{root.strip()}\n")
