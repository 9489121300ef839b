"""The card inventory: what a lab's simulated NVIDIA stack consists of, read from YAML and checked.

A malformed inventory would show up much later as a baffling card, so every contradiction is refused
here with a sentence that names the file, the field, what was found and what was expected.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import yaml

DEFAULT_CARDS = Path(__file__).with_name("cards.yml")

MODES = ("wsl", "native")
FAULTS = ("no_devices", "driver_unreachable", "version_mismatch", "access_blocked", "hang", "gpu_lost")

_UUID = re.compile(r"GPU-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PCI = re.compile(r"[0-9A-F]{8}:[0-9A-F]{2}:[0-9A-F]{2}\.[0-7]")
_DRIVER_VERSION = re.compile(r"\d{3}\.\d{2,3}(\.\d{2})?")
_CUDA_VERSION = re.compile(r"\d{1,2}\.\d")
_INF = re.compile(r"[A-Za-z0-9_]+\.inf")
_HASH = re.compile(r"[0-9a-f]{16}")


class InventoryError(ValueError):
    """The inventory contradicts itself or has the wrong shape; the message says where."""


@dataclasses.dataclass(frozen=True)
class Store:
    """One folder of the Windows driver store as WSL shows it."""

    inf: str
    store_hash: str

    @property
    def folder(self) -> str:
        return f"{self.inf}_amd64_{self.store_hash}"


@dataclasses.dataclass(frozen=True)
class Driver:
    windows: str
    guest: str
    cuda: str
    store: Store


@dataclasses.dataclass(frozen=True)
class Card:
    index: int
    name: str
    uuid: str
    pci_bus_id: str
    minor: int
    memory_mib: int
    compute_capability: str
    cuda_rank: int


@dataclasses.dataclass(frozen=True)
class Fault:
    kind: str
    card: int | None = None


@dataclasses.dataclass(frozen=True)
class Inventory:
    mode: str
    driver: Driver
    cards: tuple[Card, ...]
    other_stores: tuple[Store, ...] = ()
    fault: Fault | None = None


def load(path: Path = DEFAULT_CARDS) -> Inventory:
    """The inventory in `path`; InventoryError for a file that is missing, not YAML or contradictory."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InventoryError(f"{path}: cannot be read ({error}). Expected the card inventory.") from error
    except yaml.YAMLError as error:
        raise InventoryError(f"{path}: is not YAML: {error}") from error
    try:
        return parse(document)
    except InventoryError as error:
        raise InventoryError(f"{path}: {error}") from error


def parse(document: object) -> Inventory:
    """The inventory in a loaded YAML document; InventoryError names the field that is wrong."""
    top = _mapping(document, "the inventory", ("mode", "driver", "cards"), ("other_stores", "fault"))
    if top["mode"] not in MODES:
        raise InventoryError(f"mode: found {top['mode']!r}, expected one of {', '.join(MODES)}.")
    cards = tuple(_card(item, f"cards[{n}]") for n, item in enumerate(_list(top["cards"], "cards")))
    _refuse_contradictions(cards)
    others = _list(top.get("other_stores", []), "other_stores")
    return Inventory(
        mode=str(top["mode"]),
        driver=_driver(top["driver"]),
        cards=cards,
        other_stores=tuple(_store(item, f"other_stores[{n}]") for n, item in enumerate(others)),
        fault=_fault(top.get("fault"), len(cards)),
    )


def simulated_driver(inventory: Inventory) -> dict[str, Any]:
    """The content of simulated-driver.json: the contract with everything that pretends to be the driver."""
    fault = inventory.fault
    lost = [card.uuid for card in inventory.cards if fault and card.index == fault.card]
    return {
        "mode": inventory.mode,
        "driver_version": inventory.driver.windows,
        "guest_version": inventory.driver.guest,
        "cuda_version": inventory.driver.cuda,
        "fault": {"kind": fault.kind, "uuid": lost[0] if lost else None} if fault else None,
        "cards": [dataclasses.asdict(card) for card in inventory.cards],
    }


def _driver(document: object) -> Driver:
    fields = _mapping(document, "driver", ("windows", "guest", "cuda", "inf", "store_hash"))
    return Driver(
        windows=_text(fields, "windows", "driver", _DRIVER_VERSION, '"580.97"'),
        guest=_text(fields, "guest", "driver", _DRIVER_VERSION, '"580.82.10"'),
        cuda=_text(fields, "cuda", "driver", _CUDA_VERSION, '"13.0"'),
        store=_own_store({key: fields[key] for key in ("inf", "store_hash")}),
    )


def _own_store(fields: dict[str, Any]) -> Store:
    store = _store(fields, "driver")
    # Every NVIDIA package on Windows is named so (nv_dispi, nvblig, nvfrwi); other vendors' are not.
    if not store.inf.startswith("nv"):
        raise InventoryError(f"driver.inf: found {store.inf!r}, expected a name that begins with nv.")
    return store


def _store(document: object, where: str) -> Store:
    fields = _mapping(document, where, ("inf", "store_hash"))
    return Store(
        inf=_text(fields, "inf", where, _INF, "nv_dispi.inf"),
        store_hash=_text(fields, "store_hash", where, _HASH, "16 hexadecimal digits"),
    )


def _card(document: object, where: str) -> Card:
    names = tuple(field.name for field in dataclasses.fields(Card))
    fields = _mapping(document, where, names)
    return Card(
        index=_number(fields, "index", where),
        name=_text(fields, "name", where, re.compile(r"\S(?:[^,\n]*\S)?"), "a name without a comma"),
        uuid=_text(fields, "uuid", where, _UUID, "GPU-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx in lower case"),
        pci_bus_id=_text(fields, "pci_bus_id", where, _PCI, '"00000000:01:00.0"'),
        minor=_number(fields, "minor", where),
        memory_mib=_number(fields, "memory_mib", where, least=1),
        compute_capability=_text(fields, "compute_capability", where, _CUDA_VERSION, '"8.6"'),
        cuda_rank=_number(fields, "cuda_rank", where),
    )


def _fault(document: object, card_count: int) -> Fault | None:
    if document is None:
        return None
    if isinstance(document, str):
        document = {"kind": document}
    fields = _mapping(document, "fault", ("kind",), ("card",))
    kind = fields["kind"]
    if kind not in FAULTS:
        raise InventoryError(f"fault: found {kind!r}, expected one of {', '.join(FAULTS)}.")
    if (kind == "gpu_lost") != ("card" in fields):
        raise InventoryError("fault: gpu_lost, and only gpu_lost, names the card: {kind: gpu_lost, card: 1}.")
    if kind != "gpu_lost":
        return Fault(str(kind))
    card = _number(fields, "card", "fault")
    if card >= card_count:
        raise InventoryError(f"fault.card: found {card}, expected the index of one of {card_count} cards.")
    return Fault(str(kind), card)


def _refuse_contradictions(cards: tuple[Card, ...]) -> None:
    if not cards:
        raise InventoryError("cards: found none, expected at least one (fault: no_devices hides them).")
    for key in ("uuid", "pci_bus_id", "minor"):
        values = [getattr(card, key) for card in cards]
        twice = sorted({str(value) for value in values if values.count(value) > 1})
        if twice:
            raise InventoryError(f"cards: {key} {', '.join(twice)} stands at more than one card.")
    for key in ("index", "cuda_rank"):
        found = [getattr(card, key) for card in cards]
        if sorted(found) != list(range(len(cards))):
            raise InventoryError(f"cards: {key} is {found}, expected each of 0..{len(cards) - 1} once.")
    # nvidia-smi numbers cards by PCI bus: an inventory that says otherwise describes no real machine.
    by_bus = [card.index for card in sorted(cards, key=lambda card: card.pci_bus_id)]
    if by_bus != sorted(by_bus):
        raise InventoryError(f"cards: in order of pci_bus_id their index is {by_bus}, expected it to rise.")


def _mapping(
    document: object, where: str, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise InventoryError(f"{where}: found {_kind(document)}, expected a mapping.")
    missing = [key for key in required if key not in document]
    unknown = [str(key) for key in document if key not in required + optional]
    if missing:
        raise InventoryError(f"{where}: {', '.join(missing)} missing.")
    if unknown:
        raise InventoryError(
            f"{where}: unknown {', '.join(unknown)}; known are {', '.join(required + optional)}."
        )
    return document


def _list(document: object, where: str) -> list[Any]:
    if not isinstance(document, list):
        raise InventoryError(f"{where}: found {_kind(document)}, expected a list.")
    return document


def _text(fields: dict[str, Any], key: str, where: str, pattern: re.Pattern[str], example: str) -> str:
    value = fields[key]
    # YAML reads an unquoted 8.6 or 13.0 as a number and would lose its last zero.
    if not isinstance(value, str):
        raise InventoryError(
            f"{where}.{key}: found {_kind(value)} {value!r}, expected quoted text: {example}."
        )
    if not pattern.fullmatch(value):
        raise InventoryError(f"{where}.{key}: found {value!r}, expected {example}.")
    return value


def _number(fields: dict[str, Any], key: str, where: str, least: int = 0) -> int:
    value = fields[key]
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InventoryError(f"{where}.{key}: found {value!r}, expected a whole number from {least} up.")
    return value


def _kind(value: object) -> str:
    return "nothing" if value is None else type(value).__name__
