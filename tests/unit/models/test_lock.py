"""A models lock that is wrong, or that leads somewhere it must not, is refused as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from comfystack.errors import InputError, WrongFileError
from comfystack.models import header
from comfystack.models.display import Display, amount
from comfystack.models.lock import read
from comfystack.models.record import record

from tests.unit.docs import pages

from .conftest import entry, safetensors

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = ROOT / "comfyui" / "models.lock.yml"


def _lock(tmp_path: Path, **other: Any) -> Path:
    file = tmp_path / "models.lock.yml"
    document = {"sets": {"fp8": ["a"]}, "files": {"a": entry("a.safetensors", b"x" * 9, **other)}}
    file.write_text(yaml.safe_dump(document))
    return file


def test_the_shipped_lock_is_one() -> None:
    lock = read(SHIPPED)
    assert {
        "fp8",
        "fp8-lightning",
        "gguf-q4",
        "gguf-q8",
        "nunchaku-int4",
        "bf16",
        "t2i",
        "controlnet",
    } == set(lock.sets)
    assert len(lock.recorded(["fp8", "fp8-lightning", "gguf-q4", "t2i"])) == 7


def test_the_address_is_the_hubs() -> None:
    assert read(SHIPPED).entries["vae"].url() == (
        "https://huggingface.co/Comfy-Org/Qwen-Image_ComfyUI/resolve/"
        "25608066f9bf5cdc28020836ce9549587053f346/split_files/vae/qwen_image_vae.safetensors"
    )


def test_the_sizes_on_the_page_are_the_locks() -> None:
    lock = read(SHIPPED)
    rows = pages.table(ROOT / "docs" / "models.md", "set", "size", "what for")
    told = {name: row[1] for row in rows for name in pages.spans(row[0])}
    assert set(told) == set(lock.sets)
    for name, size in told.items():
        sizes = [entry.bytes for entry in lock.chosen([name])]
        assert size == ("not recorded" if None in sizes else amount(sum(filter(None, sizes))))


@pytest.mark.parametrize("chosen", ["gguf-q8", "nunchaku-int4", "bf16", "controlnet"])
def test_a_set_without_a_recorded_hash_is_refused_and_says_how_to_record_one(chosen: str) -> None:
    with pytest.raises(InputError, match="no size and no hash of") as raised:
        read(SHIPPED).recorded([chosen])
    assert "comfystack models record" in raised.value.next_step


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"name": "../a.safetensors"}, "leads out of its folder"),
        ({"name": ".a.safetensors"}, "is no plain name"),
        ({"folder": ".."}, "leads out of its folder"),
        ({"folder": "loras/../../etc"}, "leads out of its folder"),
        ({"folder": "/etc"}, "leads out of its folder"),
        ({"folder": ""}, "folder is no text"),
        ({"path": "x/../../y"}, "leads out of its folder"),
        ({"name": "a\n  out=/etc/passwd.safetensors"}, "name is no text"),
        ({"path": "a\nheader=x"}, "path is no text"),
        ({"name": "a.ckpt"}, "a pickle"),
        ({"name": "a.pt"}, "a pickle"),
        ({"name": "a.bin"}, "a pickle"),
        ({"source": "file:///etc/passwd"}, "no http or https address"),
        ({"source": "https://me@x.test/a"}, "no http or https address"),
        ({"sha256": "0" * 63}, "no SHA-256"),
        ({"sha256": None}, "recorded together"),
        ({"bytes": "9"}, "is no size"),
        ({"bytes": -1}, "is no size"),
    ],
    ids=str,
)
def test_an_entry_that_must_not_be_followed_is_refused(
    other: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=words):
        read(_lock(tmp_path, **other))


@pytest.mark.parametrize(
    "text", ["", "[]", "files: {}", "{sets: {a: [b]}, files: {}}", "a: [", "sets: 1\nfiles: 2"]
)
def test_what_is_no_lock_is_said(text: str, tmp_path: Path) -> None:
    file = tmp_path / "lock.yml"
    file.write_text(text)
    with pytest.raises(InputError, match="is no models lock that can be followed"):
        read(file)


def test_a_missing_lock_and_an_unknown_set_are_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path / "nowhere.yml")
    with pytest.raises(InputError, match="no set 'fp9'"):
        read(SHIPPED).chosen(["fp9"])


class TestTheHeader:
    def problem(self, content: bytes, name: str, tmp_path: Path) -> str | None:
        file = tmp_path / "file"
        file.write_bytes(content)
        return header.problem(file, name)

    @pytest.mark.parametrize("length", [*range(64, 320), 0x4B50, 0x0280])
    def test_any_length_of_the_header_will_do_whatever_its_bytes_look_like(
        self, length: int, tmp_path: Path
    ) -> None:
        """0x3C is a "<", 0x80 the first byte of a pickle, 0x4B50 the "PK" of a zip."""
        content = length.to_bytes(8, "little") + safetensors(300)[8:168].strip().ljust(length) + bytes(132)
        assert self.problem(content, "a.safetensors", tmp_path) is None

    def test_a_whole_file_has_none(self, tmp_path: Path) -> None:
        assert self.problem(safetensors(500), "a.safetensors", tmp_path) is None
        gguf = b"GGUF" + (3).to_bytes(4, "little") + (7).to_bytes(8, "little") * 2
        assert self.problem(gguf, "a.gguf", tmp_path) is None

    @pytest.mark.parametrize(
        ("content", "name", "words"),
        [
            (safetensors(500)[:-1], "a.safetensors", "its tensors end at 332, its bytes at 331"),
            (safetensors(500) + b"x", "a.safetensors", "its tensors end at 332, its bytes at 333"),
            (b"", "a.safetensors", "header would be 0 bytes"),
            (b"\xff" * 100, "a.safetensors", "header would be"),
            ((8).to_bytes(8, "little") + b"[1, 2]  ", "a.safetensors", "no list of tensors"),
            (b"PK\3\4" + b"\0" * 50, "a.safetensors", "a pickle"),
            (b"\x80\4\x95" + b"\0" * 50, "a.gguf", "a pickle"),
            (b"<html>" + b" " * 50, "a.safetensors", "a page of text"),
            (b"version https://git-lfs.github.com/spec/v1\n", "a.gguf", "a page of text"),
            (b"GGML" + b"\0" * 50, "a.gguf", "does not begin as a GGUF"),
            (b"GGUF\x09" + b"\0" * 50, "a.gguf", "version 9"),
        ],
    )
    def test_what_cannot_be_a_model_is_named(
        self, content: bytes, name: str, words: str, tmp_path: Path
    ) -> None:
        assert words in str(self.problem(content, name, tmp_path))


class TestRecording:
    @pytest.fixture
    def lock(self, tmp_path: Path) -> Path:
        file = tmp_path / "models.lock.yml"
        file.write_text(SHIPPED.read_text())
        return file

    def test_a_file_is_vouched_for_and_everything_else_in_the_lock_stays(
        self, lock: Path, tmp_path: Path, quiet: Display
    ) -> None:
        file = tmp_path / "file"
        file.write_bytes(safetensors(500))
        size, digest = record(read(lock), "encoder-bf16", file, quiet)
        found = read(lock).entries["encoder-bf16"]
        assert (found.bytes, found.sha256, found.verified) == (size, digest, "operator")
        old, new = SHIPPED.read_text().splitlines(), lock.read_text().splitlines()
        assert len(old) == len(new)
        assert len([1 for before, after in zip(old, new, strict=True) if before != after]) == 3

    def test_what_is_recorded_is_never_replaced(self, lock: Path, tmp_path: Path, quiet: Display) -> None:
        file = tmp_path / "file"
        file.write_bytes(safetensors(500))
        with pytest.raises(InputError, match="is recorded already"):
            record(read(lock), "vae", file, quiet)
        assert lock.read_text() == SHIPPED.read_text()

    @pytest.mark.parametrize("content", [b"", b"<html>", safetensors(500)[:-1]])
    def test_what_is_no_whole_model_is_not_recorded(
        self, content: bytes, lock: Path, tmp_path: Path, quiet: Display
    ) -> None:
        file = tmp_path / "file"
        file.write_bytes(content)
        with pytest.raises(WrongFileError):
            record(read(lock), "encoder-bf16", file, quiet)
        assert lock.read_text() == SHIPPED.read_text()

    def test_a_missing_file_is_said_with_its_address(
        self, lock: Path, tmp_path: Path, quiet: Display
    ) -> None:
        with pytest.raises(InputError, match="cannot be read") as raised:
            record(read(lock), "encoder-bf16", tmp_path / "nowhere", quiet)
        assert "qwen_2.5_vl_7b.safetensors" in raised.value.next_step
