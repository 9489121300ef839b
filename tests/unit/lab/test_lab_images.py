"""The same sources make the same build context, so that nothing is built, or replaced, without a reason."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from tests.lab.images import HERE, PARTS, archive


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    (folder / "sub").mkdir(parents=True)
    (folder / "Dockerfile").write_text("FROM scratch\n")
    (folder / "sub" / "b").write_text("b")
    (folder / "a").write_text("a")
    return folder


def test_times_and_owners_do_not_show(tree: Path) -> None:
    before = archive((tree, ".")).getvalue()
    os.utime(tree / "a", (1, 1))
    if os.geteuid() == 0:
        os.chown(tree / "a", 1234, 1234)
    assert archive((tree, ".")).getvalue() == before


def test_caches_of_python_do_not_show(tree: Path) -> None:
    before = archive((tree, ".")).getvalue()
    (tree / "sub" / "__pycache__").mkdir()
    (tree / "sub" / "__pycache__" / "b.pyc").write_bytes(b"\0")
    os.utime(tree / "sub", (1, 1))
    assert archive((tree, ".")).getvalue() == before


def test_contents_and_modes_do_show(tree: Path) -> None:
    before = archive((tree, ".")).getvalue()
    (tree / "a").chmod(0o755)
    changed_mode = archive((tree, ".")).getvalue()
    (tree / "a").write_text("A")
    assert len({before, changed_mode, archive((tree, ".")).getvalue()}) == 3


def test_a_second_folder_lies_where_it_was_asked_for(tree: Path, tmp_path: Path) -> None:
    guest = tmp_path / "guest"
    (guest / "usr").mkdir(parents=True)
    (guest / "usr" / "file").write_text("x")
    with tarfile.open(fileobj=archive((tree, "."), (guest, "guest"))) as tar:
        names = tar.getnames()
    assert {"a", "sub/b", "guest/usr/file"} <= set(names)


@pytest.mark.parametrize("part", PARTS)
def test_every_part_builds_on_the_labs_own_base(part: str) -> None:
    lines = (HERE / PARTS[part] / "Dockerfile").read_text().splitlines()
    assert "ARG BASE" in lines
    assert "FROM ${BASE}" in [line.split(" AS ")[0] for line in lines]
