"""`python -m tests.lab driver-update`: an update of the NVIDIA driver, as Windows does it under a running guest."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Any

import docker
from docker.errors import NotFound
from docker.models.containers import Container

from . import engine
from .console import LabError, say
from .gpu import guest
from .gpu.cards import Inventory, InventoryError, parse, simulated_driver
from .gpu.update import Update, Wish, plan
from .images import archive
from .names import Names

# What the simulated Windows reads its adapters from, beside what it remembers itself.
ADAPTERS = "/var/lib/winsim/adapters.json"


def update(names: Names, shelf: Inventory, wish: Wish) -> None:
    """Updates the driver of the raised lab. Raises LabError where there is none, or where `wish` cannot be."""
    client = engine.connect()
    try:
        if client is None:
            raise NotFound("no engine")
        machine = client.containers.get(names.container("gpu-host"))
    except NotFound:
        raise LabError(
            f"no GPU host of the lab '{names.lab}'", "a raised lab", f"make lab-up LAB_NAME={names.lab}"
        ) from None
    before = present(names, machine, shelf)
    try:
        if shelf.mode != "wsl":
            raise InventoryError(
                "mode: found native, expected wsl: on native Linux nothing is changed from outside."
            )
        coming = plan(shelf, before, wish)
        parse(_document(coming.next))
    except InventoryError as error:
        raise LabError(
            found=f"an update that cannot be: {error}",
            expected="VERSION like 581.29, RENUMBER=1, DROP and FAULT as docs/lab.md has them",
            next_step="correct it",
        ) from error
    _lay(machine, coming)
    _record(names, machine, coming.next)
    tell_windows(client, names, machine, shelf)
    _say(coming)


def present(names: Names, machine: Container, shelf: Inventory) -> Inventory:
    """What Windows has today: the last update of this very machine, or the cards that it was raised with."""
    try:
        document = json.loads(_file(names).read_text())
    except FileNotFoundError:
        return shelf
    return parse(document["inventory"]) if document["machine"] == machine.id else shelf


def tell_windows(client: docker.DockerClient, names: Names, machine: Container, shelf: Inventory) -> None:
    """Device Manager of the simulated Windows shows today's cards and driver."""
    try:
        windows = client.containers.get(names.container("windows-host"))
    except NotFound:
        return
    text = json.dumps(adapters(present(names, machine, shelf)), indent=1) + "\n"
    with tempfile.TemporaryDirectory(prefix="comfystack-adapters-") as room:
        file = Path(room, Path(ADAPTERS).name)
        file.write_text(text)
        windows.put_archive(str(Path(ADAPTERS).parent), archive((file, file.name)).getvalue())


def adapters(inventory: Inventory) -> list[dict[str, Any]]:
    """Display adapters as Win32_VideoController has them; `error` is ConfigManagerErrorCode."""
    digits = inventory.driver.windows.replace(".", "")
    lost = inventory.fault.card if inventory.fault else None
    return [
        {
            "name": card.name,
            # 581.29 is the end of 32.0.15.8129.
            "version": f"32.0.{10 + int(digits[-5])}.{digits[-4:]}",
            "store": inventory.driver.store.folder,
            # 43: the driver has reported that the device has failed.
            "error": 43 if card.index == lost else 0,
        }
        for card in inventory.cards
    ] + [
        {
            "name": "Display adapter of another vendor",
            "version": "31.0.101.4502",
            "store": one.folder,
            "error": 0,
        }
        for one in inventory.other_stores
    ]


def _lay(machine: Container, coming: Update) -> None:
    with tempfile.TemporaryDirectory(prefix="comfystack-driver-") as room:
        root = Path(room)
        guest.lay_guest(coming.now, root)
        store = root / guest.WSL_STORE / coming.now.driver.store.folder
        if coming.now != coming.next:
            text = json.dumps(simulated_driver(coming.next), indent=2) + "\n"
            (store / "simulated-driver.next.json").write_text(text)
        script = (
            f"for folder in /{guest.WSL_STORE}/*/; do"
            ' if [ -e "$folder/simulated-driver.json" ] && [ "$(basename "$folder")" != "$1" ];'
            ' then rm -rf "$folder"; fi; done; rm -f "$0/simulated-driver.next.json"'
        )
        folder = f"/{guest.WSL_STORE}/{store.name}"
        machine.exec_run(["sh", "-euc", script, folder, store.name])
        machine.put_archive("/", archive((root / "usr", "usr")).getvalue())


def _document(inventory: Inventory) -> dict[str, Any]:
    """The inventory in the form of a card file."""
    driver = dataclasses.asdict(inventory.driver)
    document = {**dataclasses.asdict(inventory), "driver": {**driver, **driver.pop("store")}}
    del document["driver"]["store"]
    fault = inventory.fault
    if fault is None:
        del document["fault"]
    elif fault.card is None:
        document["fault"] = fault.kind
    for key in ("cards", "other_stores"):
        document[key] = list(document[key])
    return document


def _file(names: Names) -> Path:
    return names.build / "driver.json"


def _record(names: Names, machine: Container, inventory: Inventory) -> None:
    document = {"machine": machine.id, "inventory": _document(inventory)}
    _file(names).write_text(json.dumps(document, indent=1) + "\n")


def _say(coming: Update) -> None:
    driver = coming.next.driver
    say(f"Windows has driver {driver.windows} in {driver.store.folder}")
    for card in coming.next.cards:
        say(f"  {card.index}: {card.name} ({card.uuid}) at {card.pci_bus_id}")
    if coming.now.fault:
        say(f"in the running guest: {coming.now.fault.kind}")
    if coming.now != coming.next:
        say("the guest sees it as it is once WSL has started afresh: `make driver-update`")
