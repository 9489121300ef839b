"""Which cards a container asks for with NVIDIA_VISIBLE_DEVICES, under the rules of each mode."""

from __future__ import annotations

from .driver import Card, Driver, ToolkitError

VARIABLE = "NVIDIA_VISIBLE_DEVICES"
KIND = "nvidia.com/gpu"


def requested(environment: list[str]) -> list[str]:
    """The ids in a process environment ("NAME=value" lines, the last wins); empty when no card is wanted."""
    value = ""
    for line in environment:
        name, _, text = line.partition("=")
        if name == VARIABLE:
            value = text
    if value in ("", "void", "none"):
        return []
    return [one.strip().removeprefix(f"{KIND}=") for one in value.split(",")]


def cdi_cards(driver: Driver, ids: list[str]) -> tuple[Card, ...]:
    """Cards that a CDI request names. On WSL there is one device, `all`, and any other id is refused."""
    if driver.mode == "wsl":
        for one in ids:
            if one != "all":
                # The real toolkit's own words, its spelling included.
                raise ToolkitError(f"failed to get device specs: unsuppored id {one}")
        return driver.cards
    return _named(driver, ids, "unresolvable CDI devices {kind}={id}")


def legacy_cards(driver: Driver, ids: list[str]) -> tuple[Card, ...]:
    """Cards that the hook injects. On WSL an id must exist, and then selects nothing: all cards come in."""
    named = _named(driver, ids, "nvidia-container-cli: device error: {id}: unknown device")
    return driver.cards if driver.mode == "wsl" else named


def _named(driver: Driver, ids: list[str], complaint: str) -> tuple[Card, ...]:
    chosen = []
    for one in ids:
        found = [card for card in driver.cards if one in ("all", str(card["index"]), card["uuid"])]
        if not found:
            raise ToolkitError(complaint.format(kind=KIND, id=one))
        chosen += [card for card in found if card not in chosen]
    return tuple(sorted(chosen, key=lambda card: int(card["index"])))
