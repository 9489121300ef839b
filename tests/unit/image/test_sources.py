"""What the image is made of: every pin, every hash, every class is where the build and the start look for it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab.names import ROOT
from tests.unit.roles import rendering

LOCK: dict[str, Any] = yaml.safe_load((ROOT / "comfyui" / "sources.lock.yml").read_text())
LISTS = ROOT / "comfyui" / "image" / "dependencies"
LEFT_OUT = {"comfyui_image_custom_nodes": ["ComfyUI-GGUF"]}


def value(expression: str, **changes: object) -> Any:
    return rendering.value(expression, "comfyui_image", {**rendering.LEAST, **changes})


def packages(lock: Path) -> dict[str, str]:
    """Package -> the lines that pin it."""
    text = re.sub(r"(?m)^#.*\n", "", lock.read_text())
    return {entry.split("==")[0]: entry for entry in re.split(r"(?m)^(?=\w)", text) if entry}


class TestEachDependencyLock:
    @pytest.fixture(
        params=[*sorted(LISTS.glob("*.lock.txt")), ROOT / "tests/lab/comfyui/simulator.lock.txt"], ids=str
    )
    def lock(self, request: pytest.FixtureRequest) -> Path:
        found: Path = request.param
        return found

    def test_every_package_has_one_version_and_its_hashes(self, lock: Path) -> None:
        found = packages(lock)
        assert found
        for entry in found.values():
            assert re.fullmatch(r"[\w.-]+==[\w.+-]+( \\\n    --hash=sha256:[0-9a-f]{64})+\n", entry), entry

    def test_it_names_no_index(self, lock: Path) -> None:
        assert "://" not in lock.read_text()

    def test_what_its_list_asks_for_is_in_it(self, lock: Path) -> None:
        asked = re.findall(r"(?m)^[\w.-]+==[\w.]+", Path(str(lock).replace(".lock.txt", ".in")).read_text())
        assert dict.fromkeys(asked, True) == {one: f"{one} \\\n" in lock.read_text() for one in asked}


def test_the_shipped_locks_are_of_the_shipped_commits() -> None:
    pins = [("ComfyUI", LOCK["comfyui"]), *((node["name"], node) for node in LOCK["custom_nodes"])]
    wanted = [f"#   {name} {one['commit']}" for name, one in pins if not one.get("optional")]
    for path in LOCK["dependencies"].values():
        told = (ROOT / "comfyui" / path).read_text().splitlines()
        assert [line for line in told if line.startswith("#   ") and " " in line[4:]] == wanted, path


def test_every_cuda_of_a_site_has_its_lock() -> None:
    specs = yaml.safe_load((ROOT / "roles/site/meta/argument_specs.yml").read_text())["argument_specs"]
    choices = specs["main"]["options"]["site_cuda_version"]["choices"]
    assert sorted(LOCK["dependencies"]) == sorted(choices)
    for choice in choices:
        assert Path(value("_comfyui_image_dependencies", site_cuda_version=choice)).exists()


class TestOneVariable:
    """Says which custom nodes are in the image."""

    def test_has_the_two_that_users_name_and_not_what_is_optional(self) -> None:
        names = value("_comfyui_image_nodes | map(attribute='name')")
        assert names == ["ComfyUI-QwenImageWanBridge", "ComfyUI-GGUF"]

    def test_drops_the_bridge_with_its_sources_its_classes_and_its_layer(self) -> None:
        assert "Bridge" in str(value("_comfyui_image_sources"))
        for part in ("_comfyui_image_sources", "_comfyui_image_classes"):
            assert "Bridge" not in str(value(part, **LEFT_OUT))
        assert value("_comfyui_image_tag") != value("_comfyui_image_tag", **LEFT_OUT)

    def test_adds_what_is_optional(self) -> None:
        classes = value("_comfyui_image_classes", comfyui_image_custom_nodes=["ComfyUI-nunchaku"])
        assert classes["ComfyUI-nunchaku"] == ["NunchakuQwenImageDiTLoader"]


def test_each_custom_node_is_a_layer_of_its_own() -> None:
    nodes = [{"name": "one"}, {"name": "two"}]
    text = rendering.render(
        "comfyui/image/Dockerfile.j2", "comfyui_image", rendering.LEAST, _comfyui_image_nodes=nodes
    )
    *stages, image = text.split("\nFROM ")
    for number, node in enumerate(("one", "two"), 1):
        taken = f"COPY custom_nodes/{node}/ /opt/comfyui/custom_nodes/{node}/"
        assert f"scratch AS node-{number}\n{taken}" in [stage.strip() for stage in stages]
    copied = [f"COPY --from=node-{number} / /" for number in (1, 2)]
    assert re.findall(r"(?m)^COPY --from=node.*", image) == copied
    # What is changed more often stands lower, and leaves what is above it in the cache; nothing follows.
    assert text.index("/opt/venv /opt/venv") < text.index("COPY ComfyUI/ /") < text.index(copied[0])
    assert not re.search("^(COPY|RUN|ADD|WORKDIR)", text.partition(copied[-1])[2], re.MULTILINE)


def test_the_classes_of_the_shipped_workflows_are_promised() -> None:
    used = {
        node["class_type"]
        for file in (ROOT / "comfyui" / "workflows").glob("*.api.json")
        for node in json.loads(file.read_text()).values()
    }
    assert set(value("_comfyui_image_classes")["the shipped workflows"]) == used


@pytest.mark.parametrize(
    "change",
    [
        {"comfyui_image_custom_nodes": ["ComfyUI-GGUF"]},
        {"site_cuda_version": "12.8"},
        {"site_base_image": "debian:sid"},
        {"site_extra_ca_certificates": [str(ROOT / "LICENSE")]},
        {"comfyui_image_sources_lock": "{{ other_lock }}"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_tag_follows_from_what_is_in_the_image(change: dict[str, Any], tmp_path: Path) -> None:
    other = tmp_path / "sources.lock.yml"
    moved = LOCK["dependencies"] | {"13.0": str(LISTS / "cuda-13.0.lock.txt")}
    other.write_text(
        yaml.safe_dump(
            LOCK | {"comfyui": LOCK["comfyui"] | {"commit": "0" * 40}, "dependencies": moved}, sort_keys=False
        )
    )
    changed = {key: str(other) if one == "{{ other_lock }}" else one for key, one in change.items()}
    assert value("_comfyui_image_tag") != value("_comfyui_image_tag", **changed)


def test_where_packages_come_from_is_no_part_of_the_tag() -> None:
    mirror = "https://packages.example.org/simple"
    assert value("_comfyui_image_tag") == value("_comfyui_image_tag", comfyui_image_package_index=mirror)
