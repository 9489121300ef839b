"""CUDA's rules for which cards a process sees, and under which numbers.

Two environment variables decide: CUDA_DEVICE_ORDER (FASTEST_FIRST unless PCI_BUS_ID) numbers the cards,
CUDA_VISIBLE_DEVICES picks and renumbers them. The picking rules are the driver's: entries are read from the
left and the first unusable one ends the list; a repeated entry leaves no device at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from .driver import Card

_LEADING_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)


def enumerate_cards(cards: Sequence[Card], order: str | None) -> list[Card]:
    """The cards in CUDA's numbering; any value but PCI_BUS_ID means FASTEST_FIRST, as in CUDA."""
    if order == "PCI_BUS_ID":
        return sorted(cards, key=lambda card: card.pci_address)
    return sorted(cards, key=lambda card: card.cuda_rank)


def visible_cards(cards: Sequence[Card], environment: Mapping[str, str]) -> list[Card]:
    """CUDA devices 0, 1, ... of a process with this environment."""
    numbered = enumerate_cards(cards, environment.get("CUDA_DEVICE_ORDER"))
    chosen = _chosen(numbered, environment.get("CUDA_VISIBLE_DEVICES"))
    return [] if _repeats(chosen) else [numbered[number] for number in chosen]


def selects_twice(cards: Sequence[Card], environment: Mapping[str, str]) -> bool:
    """Whether one card is selected more than once, for which CUDA has words of its own."""
    return _repeats(_chosen(enumerate_cards(cards, None), environment.get("CUDA_VISIBLE_DEVICES")))


def _repeats(chosen: Sequence[int]) -> bool:
    return len(set(chosen)) < len(chosen)


def _chosen(numbered: Sequence[Card], selection: str | None) -> list[int]:
    if selection is None:
        return list(range(len(numbered)))
    entries = [entry.strip() for entry in selection.split(",")]
    # The first entry says whether the whole list is by UUID or by number; the other kind ends it.
    by_uuid = entries[0].startswith("GPU-")
    chosen: list[int] = []
    for entry in entries:
        number = _by_uuid(entry, numbered) if by_uuid else _by_number(entry)
        if number is None or not 0 <= number < len(numbered):
            break
        chosen.append(number)
    return chosen


def _by_number(entry: str) -> int | None:
    # As strtol: "1st" is 1, "first" is nothing.
    match = _LEADING_INTEGER.match(entry)
    return int(match.group()) if match else None


def _by_uuid(entry: str, numbered: Sequence[Card]) -> int | None:
    if not entry.startswith("GPU-"):
        return None
    matches = [number for number, card in enumerate(numbered) if card.uuid.startswith(entry)]
    return matches[0] if len(matches) == 1 else None
