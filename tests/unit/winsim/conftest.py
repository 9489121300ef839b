from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.windows_host.winsim.machine import prepare
from tests.lab.windows_host.winsim.state import Store

from .machine import USER, Windows, new_windows
from .shelf import Stores, served
from .story import Story, tell


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Windows]:
    """A fresh machine for the tests of one file, running."""
    with new_windows(tmp_path_factory.mktemp("windows") / "machine").running() as running:
        yield running


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """A machine after its first deployment."""
    return tell(tmp_path_factory.mktemp("story"))


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    with served(tmp_path_factory.mktemp("stores")) as made:
        yield made


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Windows:
    """A Windows 11 from the shelf, standing still."""
    return new_windows(tmp_path_factory.mktemp("empty") / "machine", flavour="windows-11", empty=True)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """The memory of a fresh machine, without WinRM in front."""
    fresh = Store(tmp_path)
    prepare(fresh, owner=USER)
    return fresh
