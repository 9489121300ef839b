"""CUDA's numbering and picking of cards: what every pin of this project rests on."""

from __future__ import annotations

import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.lab.comfyui.comfysim.cuda_rules import enumerate_cards, visible_cards
from tests.lab.comfyui.comfysim.driver import Card


def card(index: int, cuda_rank: int, uuid: str, name: str = "Card") -> Card:
    return Card(
        index=index,
        name=name,
        uuid=uuid,
        pci_bus_id=f"00000000:{index + 1:02X}:00.0",
        minor=index,
        memory_mib=24576,
        compute_capability=(8, 6),
        cuda_rank=cuda_rank,
    )


RTX_3080 = card(0, 1, "GPU-6a1f0c52-9b7d-4e83-a2c4-1d58f07be936", "RTX 3080")
RTX_3090 = card(1, 0, "GPU-e47b2d90-35c8-4f16-8a0e-c92f61d3b7a4", "RTX 3090")
SITE = [RTX_3080, RTX_3090]
PCI = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


@st.composite
def machines(draw: st.DrawFn) -> list[Card]:
    """One to six cards with any fastest-first order and UUIDs that may share beginnings."""
    count = draw(st.integers(1, 6))
    ranks = draw(st.permutations(range(count)))
    tails = draw(st.lists(st.text("0a", min_size=4, max_size=4), min_size=count, max_size=count, unique=True))
    return [card(index, ranks[index], f"GPU-{tails[index]}") for index in range(count)]


orders = st.sampled_from([{}, PCI, {"CUDA_DEVICE_ORDER": "FASTEST_FIRST"}, {"CUDA_DEVICE_ORDER": "pci"}])


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, [RTX_3090, RTX_3080]),
        (PCI, [RTX_3080, RTX_3090]),
        ({"CUDA_DEVICE_ORDER": "pci_bus_id"}, [RTX_3090, RTX_3080]),
        ({"CUDA_VISIBLE_DEVICES": "1"}, [RTX_3080]),
        ({"CUDA_VISIBLE_DEVICES": "1", **PCI}, [RTX_3090]),
        ({"CUDA_VISIBLE_DEVICES": "0"}, [RTX_3090]),
        ({"CUDA_VISIBLE_DEVICES": "1,0"}, [RTX_3080, RTX_3090]),
        ({"CUDA_VISIBLE_DEVICES": ""}, []),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, []),
        ({"CUDA_VISIBLE_DEVICES": "0,-1,1"}, [RTX_3090]),
        ({"CUDA_VISIBLE_DEVICES": "0,7,1"}, [RTX_3090]),
        ({"CUDA_VISIBLE_DEVICES": "0,0"}, []),
        ({"CUDA_VISIBLE_DEVICES": " 1 , 0 "}, [RTX_3080, RTX_3090]),
        ({"CUDA_VISIBLE_DEVICES": RTX_3090.uuid}, [RTX_3090]),
        ({"CUDA_VISIBLE_DEVICES": "GPU-e47b"}, [RTX_3090]),
        ({"CUDA_VISIBLE_DEVICES": "GPU-"}, []),
        ({"CUDA_VISIBLE_DEVICES": "GPU-6a1f,GPU-e47b"}, [RTX_3080, RTX_3090]),
        ({"CUDA_VISIBLE_DEVICES": "GPU-6a1f,0"}, [RTX_3080]),
        ({"CUDA_VISIBLE_DEVICES": "0,GPU-6a1f"}, [RTX_3090]),
        ({"CUDA_VISIBLE_DEVICES": "GPU-6a1f,GPU-6a1f"}, []),
        ({"CUDA_VISIBLE_DEVICES": "all"}, []),
        ({"CUDA_VISIBLE_DEVICES": "NVIDIA GeForce RTX 3090"}, []),
    ],
)
def test_the_site_machine(variables: dict[str, str], expected: list[Card]) -> None:
    assert visible_cards(SITE, variables) == expected


def test_two_equal_beginnings_choose_nothing() -> None:
    twins = [card(0, 0, "GPU-aaaa1"), card(1, 1, "GPU-aaaa2")]
    assert visible_cards(twins, {"CUDA_VISIBLE_DEVICES": "GPU-aaaa"}) == []
    assert visible_cards(twins, {"CUDA_VISIBLE_DEVICES": "GPU-aaaa2"}) == [twins[1]]


@given(machines(), orders)
def test_without_a_selection_every_card_is_there_once(cards: list[Card], order: dict[str, str]) -> None:
    found = visible_cards(cards, order)
    assert sorted(card.index for card in found) == list(range(len(cards)))


@given(machines())
def test_pci_order_is_nvidia_smis_order(cards: list[Card]) -> None:
    assert [card.index for card in enumerate_cards(cards, "PCI_BUS_ID")] == list(range(len(cards)))


@given(machines(), orders, st.data())
def test_a_full_uuid_gives_that_card_in_any_order(
    cards: list[Card], order: dict[str, str], data: st.DataObject
) -> None:
    wanted = data.draw(st.sampled_from(cards))
    assert visible_cards(cards, {"CUDA_VISIBLE_DEVICES": wanted.uuid, **order}) == [wanted]


@given(machines(), orders, st.data())
def test_a_list_of_numbers_picks_and_renumbers(
    cards: list[Card], order: dict[str, str], data: st.DataObject
) -> None:
    numbers = data.draw(st.lists(st.integers(0, len(cards) - 1), unique=True, min_size=1))
    selection = ",".join(map(str, numbers))
    numbered = visible_cards(cards, order)
    found = visible_cards(cards, {"CUDA_VISIBLE_DEVICES": selection, **order})
    assert found == [numbered[number] for number in numbers]


@given(machines(), st.data())
def test_an_unusable_entry_ends_the_list(cards: list[Card], data: st.DataObject) -> None:
    numbers = data.draw(st.lists(st.integers(0, len(cards) - 1), unique=True, min_size=1))
    good = ",".join(map(str, numbers))
    bad = data.draw(st.sampled_from(["x", "-1", "99", "", "GPU-0000"]))
    before = visible_cards(cards, {"CUDA_VISIBLE_DEVICES": good})
    assert visible_cards(cards, {"CUDA_VISIBLE_DEVICES": f"{good},{bad},0"}) == before


@given(machines(), orders, st.text(string.printable, max_size=30))
def test_no_selection_text_breaks_the_rules(cards: list[Card], order: dict[str, str], text: str) -> None:
    found = visible_cards(cards, {"CUDA_VISIBLE_DEVICES": text, **order})
    assert len({card.uuid for card in found}) == len(found)
    assert all(card in cards for card in found)


@given(machines(), st.data())
def test_a_repeated_number_leaves_no_device(cards: list[Card], data: st.DataObject) -> None:
    numbers = data.draw(st.lists(st.integers(0, len(cards) - 1), min_size=2))
    assume(len(set(numbers)) < len(numbers))
    assert visible_cards(cards, {"CUDA_VISIBLE_DEVICES": ",".join(map(str, numbers))}) == []
