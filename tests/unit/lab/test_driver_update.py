"""An update of the driver leaves what Windows would leave: another folder, other versions, other numbers."""

from __future__ import annotations

import dataclasses
import json
import threading
from pathlib import Path

import pytest

from tests.lab.driver import _document, adapters
from tests.lab.gpu import update
from tests.lab.gpu.cards import Fault, Inventory, InventoryError, load, parse
from tests.lab.gpu.update import Wish
from tests.lab.windows_host.winsim import vm


@pytest.fixture
def shelf() -> Inventory:
    return load()


def told(inventory: Inventory) -> list[tuple[int, str, str, int]]:
    return [
        (card.index, card.name.split()[-1], card.pci_bus_id[9:11], card.cuda_rank) for card in inventory.cards
    ]


class TestAPlainUpdate:
    def test_changes_folder_and_versions_and_no_card(self, shelf: Inventory) -> None:
        coming = update.plan(shelf, shelf, Wish())
        assert coming.next.driver.windows == "580.98"
        assert coming.next.driver.store.store_hash != shelf.driver.store.store_hash
        assert coming.next.cards == shelf.cards
        assert coming.next.fault is None

    def test_is_a_version_mismatch_until_wsl_starts_afresh(self, shelf: Inventory) -> None:
        coming = update.plan(shelf, shelf, Wish(version="581.29"))
        assert coming.now == dataclasses.replace(coming.next, fault=Fault("version_mismatch"))

    def test_can_follow_another(self, shelf: Inventory) -> None:
        first = update.plan(shelf, shelf, Wish(version="580.99")).next
        second = update.plan(shelf, first, Wish()).next
        assert second.driver.windows == "581.01"
        assert second.driver.store != first.driver.store

    def test_that_nobody_notices_answers_with_the_driver_of_before(self, shelf: Inventory) -> None:
        coming = update.plan(shelf, shelf, Wish(fault="unnoticed"))
        assert (coming.now.driver.windows, coming.now.fault) == ("580.97", None)
        assert coming.next.driver.windows == "580.98"
        assert coming.now.driver.store == coming.next.driver.store, "the old folder is gone in any case"


class TestCards:
    def test_change_their_numbers_and_not_their_speed(self, shelf: Inventory) -> None:
        assert told(shelf) == [(0, "3080", "01", 1), (1, "3090", "02", 0)]
        turned = update.plan(shelf, shelf, Wish(renumber=True)).next
        assert told(turned) == [(0, "3090", "01", 0), (1, "3080", "02", 1)]

    @pytest.mark.parametrize("word", ["3090", "1", "NVIDIA GeForce RTX 3090"])
    def test_can_go_and_come_back(self, shelf: Inventory, word: str) -> None:
        without = update.plan(shelf, shelf, Wish(drop=word)).next
        assert told(without) == [(0, "3080", "01", 0)]
        assert update.plan(shelf, without, Wish()).next.cards == shelf.cards

    def test_that_nobody_knows_are_refused_with_those_that_are_there(self, shelf: Inventory) -> None:
        with pytest.raises(
            InventoryError, match="DROP: found '3070', expected one of 0: NVIDIA GeForce RTX 3080"
        ):
            update.plan(shelf, shelf, Wish(drop="3070"))


class TestAFault:
    def test_befalls_the_driver_that_is_there(self, shelf: Inventory) -> None:
        coming = update.plan(shelf, shelf, Wish(fault="no_devices"))
        assert coming.now.driver == coming.next.driver == shelf.driver
        assert coming.now.fault == coming.next.fault == Fault("no_devices")

    def test_of_a_driver_that_hangs_ends_with_the_start_of_wsl(self, shelf: Inventory) -> None:
        coming = update.plan(shelf, shelf, Wish(fault="hang"))
        assert (coming.now.fault, coming.next.fault) == (Fault("hang"), None)

    def test_of_one_card_shows_in_device_manager(self, shelf: Inventory) -> None:
        lost = update.plan(shelf, shelf, Wish(fault="gpu_lost:3090")).next
        assert [(one["name"][-4:], one["error"]) for one in adapters(lost)][:2] == [("3080", 0), ("3090", 43)]

    def test_that_nobody_knows_is_refused(self, shelf: Inventory) -> None:
        with pytest.raises(InventoryError, match="FAULT: found 'smoke'"):
            update.plan(shelf, shelf, Wish(fault="smoke"))


def test_what_is_recorded_is_read_again(shelf: Inventory) -> None:
    for fault in ("", "no_devices", "gpu_lost:0"):
        after = update.plan(shelf, shelf, Wish(renumber=True, fault=fault)).next
        assert parse(json.loads(json.dumps(_document(after)))) == after


class TestTheVirtualMachine:
    def test_is_down_when_it_has_ended_and_up_when_it_may_run(self, tmp_path: Path) -> None:
        vm.up(tmp_path)
        assert not (tmp_path / "power").exists(), "what was never shut down needs no start"
        threading.Timer(0.2, (tmp_path / "born").write_text, ["1\n"]).start()
        assert vm.down(tmp_path, seconds=30)
        assert (tmp_path / "power").read_text() == "1 down\n"
        vm.up(tmp_path)
        assert (tmp_path / "power").read_text() == "1 up\n"

    def test_that_does_not_end_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "born").write_text("0\n")
        assert not vm.down(tmp_path, seconds=0)
