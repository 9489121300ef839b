"""A file that Windows is to get: fetched or sent, and only ever the one whose checksum was recorded."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.lab.windows_host.winsim import installers
from tests.lab.windows_host.winsim.modules import run_module
from tests.lab.windows_host.winsim.state import Store

from .machine import USER, Played, Windows, play

CONTENT = b"what the publisher made\n"
SUM = hashlib.sha256(CONTENT).hexdigest()
KNOWN = {
    "name": "Known",
    "ansible.builtin.include_role": {"name": "site", "tasks_from": "windows_file_known"},
}
FETCHED = {"name": "Fetched", "ansible.builtin.include_role": {"name": "site", "tasks_from": "windows_file"}}


@dataclass(frozen=True)
class Shelf:
    """A folder of files, and the address where it is served."""

    folder: Path
    url: str


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    folder = tmp_path_factory.mktemp("shelf")
    (folder / "tool.msi").write_bytes(CONTENT)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Shelf(folder, f"http://127.0.0.1:{server.server_port}")
        server.shutdown()


def wanted(source: str, checksum: str, dest: str) -> dict[str, Any]:
    return {
        "site_windows_file": {
            "name": "the tool",
            "setting": "role_tool",
            "source": source,
            "sha256": checksum,
            "dest": rf"C:\Windows\Temp\{dest}.msi",
        }
    }


# Each is a host with a file of its own -> whether it comes, and what is said where it does not.
OTHER = hashlib.sha256(b"another").hexdigest()
CASES: dict[str, tuple[str, str, str]] = {
    "fetched": ("{url}/tool.msi", SUM, ""),
    "sent": ("{folder}/tool.msi", SUM, ""),
    "changed-there": ("{url}/tool.msi", OTHER, f"did not match '{OTHER}', it was '{SUM}'"),
    "changed-here": ("{folder}/tool.msi", OTHER, f"its SHA-256 is {SUM}\nexpected: SHA-256 {OTHER}"),
    "nowhere": ("{url}/none.msi", SUM, "next step: see whether Windows reaches the address"),
}


@dataclass(frozen=True)
class Twice:
    first: Played
    second: Played


@pytest.fixture(scope="module")
def twice(windows: Windows, shelf: Shelf) -> Twice:
    hosts = {
        name: windows.as_host(
            **wanted(source.format(url=shelf.url, folder=shelf.folder), checksum, name),
        )
        for name, (source, checksum, _) in CASES.items()
    }
    first = play(windows.folder / "first", hosts, tasks=[FETCHED])
    return Twice(first, play(windows.folder / "second", hosts, tasks=[FETCHED]))


@pytest.mark.parametrize("name", CASES)
def test_a_file_comes_with_its_recorded_checksum_or_not_at_all(
    windows: Windows, twice: Twice, name: str
) -> None:
    _, _, said = CASES[name]
    there = windows.drive("c", "Windows", "Temp", f"{name}.msi")
    assert twice.first.count("failed", name) == bool(said), twice.first.about(name)
    assert json.dumps(said)[1:-1] in twice.first.about(name)
    assert (there.read_bytes() == CONTENT) if not said else not there.exists()


@pytest.mark.parametrize("name", ["fetched", "sent"])
def test_what_is_there_is_not_brought_again(twice: Twice, name: str) -> None:
    assert twice.first.count("changed", name) == 1
    assert twice.second.count("changed", name) == 0


def test_without_a_checksum_nothing_comes_and_the_command_that_records_it_is_told(
    windows: Windows, shelf: Shelf
) -> None:
    sources = {
        "address": f"{shelf.url}/tool.msi",
        "file": f"{shelf.folder}/tool.msi",
        "neither": "/none/tool.msi",
    }
    hosts = {name: windows.as_host(**wanted(source, "", name)) for name, source in sources.items()}
    refused = play(windows.folder / "known", hosts, tasks=[KNOWN])
    for name in ("address", "file"):
        assert "found: role_tool.sha256 is empty" in refused.about(name)
        recorded = re.search(r"what `([^`]+)` prints", refused.about(name))
        assert recorded, refused.about(name)
        done = subprocess.run(["bash", "-c", recorded[1]], capture_output=True, text=True, check=True)
        assert done.stdout.split()[0] == SUM
    assert "expected: the tool, by its https:// address or as a file" in refused.about("neither")


class TestAnInstaller:
    """The model of win_package: what the real Windows Installer tells of itself."""

    FILE = r"C:\tool.msi"
    DLL = r"C:\Program Files\Tool\tool.dll"
    ID = "{9bca2118-f753-4a1e-bcf3-5a820729965c}"

    def install(self, store: Store, content: bytes, **more: Any) -> dict[str, Any]:
        store.path(self.FILE).write_bytes(content)
        arguments = {"path": self.FILE, "product_id": self.ID, **more}
        return run_module(store, USER, "ansible.windows.win_package", arguments)

    def package(self, code: int = 0, needs: str = "") -> bytes:
        return installers.package("Tool", {self.DLL: "x"}, needs, code, self.ID)

    @pytest.mark.parametrize("code", [0, 3010])
    def test_both_good_codes_leave_the_product_behind_and_the_second_run_finds_it(
        self, store: Store, code: int
    ) -> None:
        first = self.install(store, self.package(code))
        assert (first["changed"], first["rc"], first["reboot_required"]) == (True, code, code == 3010)
        assert store.path(self.DLL).is_file()
        second = self.install(store, self.package(code))
        assert (second["changed"], second["rc"], second["reboot_required"]) == (False, 0, False)

    @pytest.mark.parametrize(
        ("content", "code"),
        [("package", 1603), ("page", 1620), ("needy", 1603)],
    )
    def test_another_code_fails_and_leaves_nothing(self, store: Store, content: str, code: int) -> None:
        files = {
            "package": self.package(1603),
            "page": b"<html>404</html>",
            "needy": self.package(needs="Web-Server"),
        }
        said = self.install(store, files[content])
        assert (said["failed"], said["rc"]) == (True, code)
        assert "unexpected rc from" in said["msg"]
        assert not store.path(self.DLL).exists()
        assert store.read().products == {}
