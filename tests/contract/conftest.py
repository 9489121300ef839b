from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.contract.server import URL_VARIABLE, Server, simulator


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A ComfyUI without any model file: the one at COMFYUI_CONTRACT_URL, else the simulator."""
    url = os.environ.get(URL_VARIABLE)
    if url:
        yield Server(url.rstrip("/"))
        return
    with simulator(tmp_path_factory.mktemp("comfyui"), "--cpu") as started:
        yield started


@pytest.fixture(scope="session")
def simulated() -> None:
    """For tests that start ComfyUI themselves, with files or options of their own."""
    if os.environ.get(URL_VARIABLE):
        pytest.skip(f"needs a server of its own, and {URL_VARIABLE} names a given one")
