"""A fetch leaves the locked files, whole and proved, or nothing under their names; what was good stays."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from comfystack.errors import InputError, WrongFileError
from comfystack.models.display import Display

from .conftest import Site, safetensors


def test_every_file_comes_to_its_place_and_a_second_run_asks_nobody(site: Site, quiet: Display) -> None:
    contents = {key: site.add(key, size) for key, size in (("a", 3_000_001), ("b", 200), ("c", 1 << 20))}
    assert site.fetch(quiet).fetched == [f"loras/{key}.safetensors" for key in contents]
    for key, content in contents.items():
        assert site.final(key).read_bytes() == content
    assert site.rest() == ["a.safetensors", "b.safetensors", "c.safetensors"]
    asked = len(site.source.asked)
    assert len(site.fetch(quiet).held) == 3
    assert len(site.source.asked) == asked


def test_a_file_that_was_there_is_adopted_and_stays_the_same_file(site: Site, quiet: Display) -> None:
    content = site.add("a")
    site.final("a").parent.mkdir()
    site.final("a").write_bytes(content)
    before = site.final("a").stat()
    assert site.fetch(quiet).adopted == ["loras/a.safetensors"]
    after = site.final("a").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert site.source.asked == []
    assert site.fetch(quiet).held == ["loras/a.safetensors"]


@pytest.mark.parametrize("found", [b"x" * 100, safetensors(3000, 99)], ids=["another size", "the same size"])
def test_another_file_under_the_name_is_refused_and_not_touched(
    found: bytes, site: Site, quiet: Display
) -> None:
    site.add("a")
    site.add("b")
    site.final("a").parent.mkdir()
    site.final("a").write_bytes(found)
    with pytest.raises(WrongFileError, match=r"a\.safetensors.*never overwritten"):
        site.fetch(quiet)
    assert site.final("a").read_bytes() == found
    assert site.rest() == ["a.safetensors"], "said before anything was fetched"


def test_a_file_changed_after_its_hash_is_hashed_again(site: Site, quiet: Display) -> None:
    site.add("a")
    site.fetch(quiet)
    spoilt = bytearray(site.final("a").read_bytes())
    spoilt[-1] ^= 1
    site.final("a").write_bytes(spoilt)
    with pytest.raises(WrongFileError, match="SHA-256"):
        site.fetch(quiet)


def test_a_spoilt_note_of_hashes_costs_a_hash_and_no_download(site: Site, quiet: Display) -> None:
    site.add("a")
    site.fetch(quiet)
    (site.folder / ".comfystack-stamps.json").write_text('{"loras/a.safetensors": 3')
    assert site.fetch(quiet).adopted == ["loras/a.safetensors"]


def test_a_corrupt_download_never_gets_the_name_and_what_came_before_stays(
    site: Site, quiet: Display
) -> None:
    site.add("a")
    site.add("b", sha256="0" * 64)
    with pytest.raises(WrongFileError, match="is not the locked file: SHA-256"):
        site.fetch(quiet)
    assert site.rest() == ["a.safetensors"]
    assert site.final("a").read_bytes() == site.contents["a"]


def test_bytes_of_an_earlier_run_that_are_wrong_are_fetched_again(site: Site, quiet: Display) -> None:
    content = site.add("a", 3_000_000)
    site.final("a").parent.mkdir()
    (site.folder / "loras" / ".a.safetensors.part").write_bytes(b"\1" * 1_000_000)
    assert site.fetch(quiet).fetched
    assert site.final("a").read_bytes() == content


def test_a_file_whose_header_is_no_models_is_refused_even_with_the_right_hash(
    site: Site, quiet: Display
) -> None:
    page = b"<!doctype html>".ljust(500)
    site.add("a", bytes=len(page), sha256=hashlib.sha256(page).hexdigest())
    (site.source.folder / "a.safetensors").write_bytes(page)
    with pytest.raises(WrongFileError, match="a page of text, not a model"):
        site.fetch(quiet)
    assert site.rest() == []


def test_too_little_room_is_said_before_the_first_byte(site: Site, quiet: Display) -> None:
    site.add("a")
    with pytest.raises(InputError, match="free on the disk of") as raised:
        site.fetch(quiet, reserve=1 << 60)
    assert "make room" in raised.value.next_step
    assert site.source.asked == []


def test_a_disk_that_fills_up_meanwhile_is_said_and_leaves_no_file(
    site: Site, quiet: Display, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What aria2 does then: status 9, by its manual.
    aria2c = tmp_path / "bin" / "aria2c"
    aria2c.parent.mkdir()
    aria2c.write_text("#!/bin/sh\ncat >/dev/null\nexit 9\n")
    aria2c.chmod(0o755)
    monkeypatch.setenv("PATH", f"{aria2c.parent}:{os.environ['PATH']}")
    site.add("a")
    with pytest.raises(InputError, match="no room left on the disk"):
        site.fetch(quiet)
    assert site.rest() == []


def test_a_folder_that_takes_no_file_is_said_before_the_first_byte(
    site: Site, quiet: Display, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.add("a")
    monkeypatch.setattr("comfystack.models.fetch._writable", lambda *_: False)
    with pytest.raises(InputError, match="cannot be written to: Permission denied"):
        site.fetch(quiet)
    assert site.source.asked == []


def test_a_folder_that_cannot_be_made_is_said(site: Site, quiet: Display) -> None:
    site.add("a")
    (site.folder / "loras").write_text("a file")
    with pytest.raises(InputError, match="cannot be written to: File exists"):
        site.fetch(quiet)


def test_a_read_only_folder_with_every_file_is_enough(
    site: Site, quiet: Display, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.add("a")
    site.fetch(quiet)
    (site.folder / ".comfystack-stamps.json").unlink()
    monkeypatch.setattr("comfystack.models.fetch._writable", lambda *_: False)
    monkeypatch.setattr("comfystack.models.store.Path.write_text", _refuses)
    assert site.fetch(quiet).adopted == ["loras/a.safetensors"]


def _refuses(*_: object, **__: object) -> None:
    raise PermissionError


def test_two_at_once_are_one_and_a_refusal(site: Site, quiet: Display) -> None:
    site.add("a")
    with (
        site.store.locked(),
        pytest.raises(InputError, match=rf"another fetch \(process {os.getpid()}\) works in"),
    ):
        site.fetch(quiet)
    assert site.fetch(quiet).fetched


def test_a_missing_aria2_is_said_with_its_package(
    site: Site, quiet: Display, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.add("a")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InputError, match="no aria2c on PATH") as raised:
        site.fetch(quiet)
    assert raised.value.next_step == "apt-get install aria2"


class TestOffline:
    def test_files_come_from_a_folder_and_no_network_is_used(
        self, site: Site, quiet: Display, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        content = site.add("a")
        monkeypatch.setenv("PATH", "/nowhere")
        assert site.fetch(quiet, offline=site.source.folder).fetched == ["loras/a.safetensors"]
        assert site.final("a").read_bytes() == content
        assert site.source.asked == []

    def test_a_file_that_the_folder_lacks_is_named(self, site: Site, quiet: Display, tmp_path: Path) -> None:
        site.add("a")
        with pytest.raises(InputError, match=r"neither loras/a\.safetensors nor a\.safetensors in"):
            site.fetch(quiet, offline=tmp_path)

    def test_a_wrong_file_there_is_refused_as_one_from_the_network_is(
        self, site: Site, quiet: Display
    ) -> None:
        site.add("a")
        (site.source.folder / "a.safetensors").write_bytes(safetensors(3000, 77))
        with pytest.raises(WrongFileError):
            site.fetch(quiet, offline=site.source.folder)
        assert site.rest() == []


def test_a_log_gets_lines_and_no_bar(site: Site, quiet: Display) -> None:
    site.add("a")
    site.fetch(quiet)
    lines = site.log.getvalue().splitlines()
    assert "hashing a.safetensors: 100 % of 3 kB" in lines
    assert lines[-1] == "loras/a.safetensors: fetched, 3 kB, SHA-256 as locked"
    assert not any("\x1b" in line or "\r" in line for line in lines)
