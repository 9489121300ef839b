"""What an update of the NVIDIA driver on Windows makes of the cards, and what a running guest sees of it.

Windows exchanges the driver under the running virtual machine: the folder of the driver store gets another name, what
is mounted from the old one is empty, and NVML refuses the driver that it does not fit until WSL has started afresh.
"""

from __future__ import annotations

import dataclasses
import hashlib

from .cards import Card, Driver, Fault, Inventory, InventoryError, Store

# Faults of the simulated driver that end when the virtual machine starts afresh; the others stay.
PASSING = ("version_mismatch", "hang")
# Not a fault of the driver's own: the guest goes on with the driver of before and answers.
UNNOTICED = "unnoticed"
FAULTS = ("no_devices", "driver_unreachable", "access_blocked", "hang", "gpu_lost", UNNOTICED)


@dataclasses.dataclass(frozen=True)
class Wish:
    """What is to happen. `fault` is a kind, or gpu_lost:CARD; a card is named by index, UUID or the end of its name."""

    version: str = ""
    renumber: bool = False
    drop: str = ""
    fault: str = ""


@dataclasses.dataclass(frozen=True)
class Update:
    """`now` is what the running guest sees, `next` what it sees once WSL has started afresh, and Windows today."""

    now: Inventory
    next: Inventory


def plan(shelf: Inventory, present: Inventory, wish: Wish) -> Update:
    """The update that `wish` asks for. `shelf` has all cards as the lab's card file has them; InventoryError.

    A fault without a version befalls the driver that is there. Cards that are neither dropped nor renumbered are as
    in the card file again.
    """
    kind, _, card = wish.fault.partition(":")
    if kind and kind not in FAULTS:
        raise InventoryError(f"FAULT: found {kind!r}, expected one of {', '.join(FAULTS)}.")
    befalls = kind not in ("", UNNOTICED) and not wish.version
    driver = present.driver if befalls else _newer(present.driver, wish.version)
    cards = list(shelf.cards)
    if wish.renumber:
        cards = _renumbered(cards)
    if wish.drop:
        cards = _without(cards, _find(cards, wish.drop, "DROP"))
    fault = None
    if kind and kind != UNNOTICED:
        fault = Fault(kind, _find(cards, card, "FAULT").index if kind == "gpu_lost" else None)
    after = dataclasses.replace(shelf, driver=driver, cards=tuple(cards), fault=fault)
    coming = dataclasses.replace(after, fault=None) if fault and fault.kind in PASSING else after
    return Update(now=_running(present, after, kind), next=coming)


def _running(present: Inventory, after: Inventory, kind: str) -> Inventory:
    if after.driver == present.driver:
        return after
    if kind == UNNOTICED:
        # In the new folder, because that is the one that is there.
        old = dataclasses.replace(present.driver, store=after.driver.store)
        return dataclasses.replace(present, driver=old, fault=None)
    return dataclasses.replace(after, fault=after.fault or Fault("version_mismatch"))


def _newer(driver: Driver, version: str) -> Driver:
    major, minor = (int(part) for part in driver.windows.split(".")[:2])
    windows = version or (f"{major}.{minor + 1:02}" if minor < 99 else f"{major + 1}.01")
    mark = hashlib.sha256(f"{driver.store.store_hash} {windows}".encode()).hexdigest()[:16]
    # nvidia-smi's own version is one of Linux' numbering; which one belongs to which is not known here.
    return Driver(windows, f"{windows}.01", driver.cuda, Store(driver.store.inf, mark))


def _find(cards: list[Card], word: str, setting: str) -> Card:
    found = [
        card
        for card in cards
        if word and (word in (str(card.index), card.uuid, card.name) or card.name.endswith(f" {word}"))
    ]
    if len(found) != 1:
        there = "; ".join(f"{card.index}: {card.name}" for card in cards)
        raise InventoryError(
            f"{setting}: found {word or 'no card'!r}, expected one of {there}: by its number, UUID or end of its name."
        )
    return found[0]


def _without(cards: list[Card], gone: Card) -> list[Card]:
    left = [card for card in cards if card is not gone]
    ranks = sorted(card.cuda_rank for card in left)
    return [
        dataclasses.replace(card, index=number, cuda_rank=ranks.index(card.cuda_rank))
        for number, card in enumerate(left)
    ]


def _renumbered(cards: list[Card]) -> list[Card]:
    """Each card at the address of its counterpart from the other end: nvidia-smi counts them the other way round."""
    turned = [
        dataclasses.replace(card, index=place.index, pci_bus_id=place.pci_bus_id, minor=place.minor)
        for card, place in zip(cards, reversed(cards), strict=True)
    ]
    return sorted(turned, key=lambda card: card.index)
