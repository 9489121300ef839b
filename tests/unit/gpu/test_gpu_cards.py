"""A card inventory that contradicts itself is refused with a sentence, before a lab is built on it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab.gpu.cards import DEFAULT_CARDS, Inventory, InventoryError, load, parse, simulated_driver
from tests.lab.gpu.guest import lay_guest

Document = dict[str, Any]
DEFAULT: Document = yaml.safe_load(DEFAULT_CARDS.read_text(encoding="utf-8"))


def test_the_default_lab_has_the_sites_two_cards_and_their_contrary_orders(inventory: Inventory) -> None:
    first, second = inventory.cards
    assert (first.name, first.memory_mib, first.cuda_rank) == ("NVIDIA GeForce RTX 3080", 16384, 1)
    assert (second.name, second.memory_mib, second.cuda_rank) == ("NVIDIA GeForce RTX 3090", 24576, 0)


def _set(*path: str | int, value: object) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        place: Any = document
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value

    return change


REFUSED = {
    "another mode": (_set("mode", value="vm"), "mode: found 'vm', expected one of wsl, native"),
    "a number where YAML eats a zero": (_set("driver", "cuda", value=13.0), "driver.cuda: found float 13.0"),
    "an unknown key": (_set("driver", "hash", value="1"), "driver: unknown hash"),
    "a missing key": (lambda d: d["cards"][0].pop("uuid"), "cards[0]: uuid missing"),
    "no cards": (_set("cards", value=[]), "cards: found none"),
    "cards that are no list": (_set("cards", value="3090"), "cards: found str, expected a list"),
    "a UUID without its prefix": (
        _set("cards", 0, "uuid", value="6a1f0c52"),
        "cards[0].uuid: found '6a1f0c52'",
    ),
    "one UUID twice": (_set("cards", 0, "uuid", value=DEFAULT["cards"][1]["uuid"]), "at more than one card"),
    "one address twice": (
        _set("cards", 0, "pci_bus_id", value="00000000:02:00.0"),
        "pci_bus_id 00000000:02:00.0 stands at more than one card",
    ),
    "indices against the PCI bus": (
        _set("cards", 0, "pci_bus_id", value="00000000:0A:00.0"),
        "in order of pci_bus_id their index is [1, 0]",
    ),
    "two cards of one rank": (_set("cards", 0, "cuda_rank", value=0), "cuda_rank is [0, 0]"),
    "memory as text": (_set("cards", 0, "memory_mib", value="16 GB"), "cards[0].memory_mib: found '16 GB'"),
    "a name that would break CSV": (_set("cards", 0, "name", value="RTX, 3090"), "cards[0].name"),
    "an unknown fault": (_set("fault", value="melted"), "fault: found 'melted'"),
    "a lost card that is not named": (_set("fault", value="gpu_lost"), "names the card"),
    "a lost card that is not there": (
        _set("fault", value={"kind": "gpu_lost", "card": 2}),
        "fault.card: found 2",
    ),
    "another vendor's name for the driver": (_set("driver", "inf", value="iigd.inf"), "begins with nv"),
    "a store hash of another length": (_set("other_stores", 0, "store_hash", value="ab"), "16 hexadecimal"),
}


@pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_a_contradictory_inventory_is_refused(change: Callable[[Document], None], message: str) -> None:
    document = copy.deepcopy(DEFAULT)
    change(document)
    with pytest.raises(InventoryError) as caught:
        parse(document)
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["", "cards: [", "- 1", "\x00"])
def test_a_file_that_is_no_inventory_is_named_in_the_message(tmp_path: Path, text: str) -> None:
    file = tmp_path / "cards.yml"
    file.write_text(text)
    with pytest.raises(InventoryError, match=r"cards\.yml: "):
        load(file)
    with pytest.raises(InventoryError, match=r"absent\.yml: cannot be read"):
        load(tmp_path / "absent.yml")


def test_the_driver_file_carries_what_the_comfyui_simulator_reads(inventory: Inventory) -> None:
    document = simulated_driver(inventory)
    assert (document["driver_version"], document["cuda_version"]) == ("580.97", "13.0")
    assert set(document["cards"][0]) >= {
        *("index", "name", "uuid", "pci_bus_id", "minor", "memory_mib", "compute_capability", "cuda_rank")
    }


def test_a_driver_update_leaves_nothing_of_the_driver_before(inventory: Inventory, tmp_path: Path) -> None:
    lay_guest(inventory, tmp_path)
    document = copy.deepcopy(DEFAULT)
    document["driver"]["store_hash"] = "0123456789abcdef"
    lay_guest(parse(document), tmp_path)
    stores = {path.name for path in (tmp_path / "usr/lib/wsl/drivers").iterdir()}
    assert stores == {"nv_dispi.inf_amd64_0123456789abcdef", "iigd_dch.inf_amd64_8d1e64a0b7c2f395"}
    lay_guest(parse({**document, "mode": "native"}), tmp_path)
    assert not (tmp_path / "usr/lib/wsl").exists()
