"""The models: fetched from the mirror, taken where they were, and another program's offered beside them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from testinfra.host import Host

from tests.molecule.services.tests.test_edge_alone import ask, token

__all__ = ["token"]


@pytest.fixture(scope="session")
def entries(lab: Path) -> list[dict[str, Any]]:
    """The set's entries in the lab's lock."""
    lock = yaml.safe_load((lab / "models.lock.yml").read_text())
    return [lock["files"][key] for key in lock["sets"]["fp8-lightning"]]


def test_every_file_of_the_set_is_the_locked_one_and_its_folders_owners(
    guest: Host, entries: list[dict[str, Any]]
) -> None:
    for entry in entries:
        file = guest.file(f"/srv/models/{entry['folder']}/{entry['name']}")
        assert hashlib.sha256(file.content).hexdigest() == entry["sha256"], entry["name"]
        assert (file.user, file.mode) == ("siteadmin", 0o644)


def test_the_file_that_was_there_before_was_taken_as_it_was(guest: Host) -> None:
    placed = guest.file("/srv/models/vae/qwen_image_vae.safetensors")
    assert placed.mtime.year == 1970, "as the lab placed it"


def test_nothing_half_fetched_is_left(guest: Host) -> None:
    assert guest.check_output("find /srv/models -name '*.part*'") == ""


def test_the_models_of_another_program_are_offered_and_cannot_be_written(guest: Host, token: str) -> None:
    status, body = ask(guest, "/object_info/LoraLoaderModelOnly", {"X-API-Key": token})
    assert status == 200, body
    offered = json.loads(body)["LoraLoaderModelOnly"]["input"]["required"]["lora_name"]
    assert "forge-lora.safetensors" in json.dumps(offered)
    written = guest.run("docker exec comfyui-qwen touch /srv/shared-models/1/Lora/x")
    assert written.rc != 0
    assert "Read-only file system" in written.stderr
