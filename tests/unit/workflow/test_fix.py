"""The notebooks' graphs become native ones that validate, and keep what their authors chose."""

from __future__ import annotations

from typing import Any

import pytest
from comfystack import InputError
from comfystack.workflow.check import check
from comfystack.workflow.contract import Contract
from comfystack.workflow.fix import fix

from .conftest import OLD, Graph, old

NAMES = sorted(path.stem for path in OLD.iterdir())
KEPT = ("seed", "steps", "cfg", "sampler_name", "scheduler", "denoise")


def sampler(graph: Graph) -> dict[str, Any]:
    (node,) = [
        node for node in graph.values() if "Sampler" in node["class_type"] and "steps" in node["inputs"]
    ]
    return dict(node["inputs"])


def references(graph: Graph, encoder: str) -> list[str]:
    """The files that an encoder is shown."""
    links = {name: link for name, link in graph[encoder]["inputs"].items() if name.startswith("image")}
    return [graph[links[name][0]]["inputs"]["image"] for name in sorted(links)]


@pytest.mark.parametrize("name", NAMES)
def test_a_graph_of_the_notebooks_is_refused_before_and_valid_after(name: str, contract: Contract) -> None:
    assert check(old(name), contract)
    assert check(fix(old(name), contract).graph, contract) == []


@pytest.mark.parametrize("name", NAMES)
def test_no_node_of_a_custom_pack_is_left(name: str, contract: Contract) -> None:
    for node in fix(old(name), contract).graph.values():
        assert contract.module(node["class_type"]) == ""


@pytest.mark.parametrize("name", NAMES)
def test_what_the_author_chose_is_kept(name: str, contract: Contract) -> None:
    before, after = old(name), fix(old(name), contract).graph
    was, is_now = sampler(before), sampler(after)
    for key in KEPT:
        assert is_now[key] == was.get(key, 1.0 if key == "denoise" else None), key
    for side in ("positive", "negative"):
        node = after[is_now[side][0]]["inputs"]
        assert (node.get("prompt") or node.get("text")) == before[was[side][0]]["inputs"]["text"]
    saved = [
        [node["inputs"] for node in graph.values() if node["class_type"] == "SaveImage"]
        for graph in (before, after)
    ]
    assert saved[0] == saved[1]


def test_the_size_of_a_picture_from_a_sentence_is_kept(contract: Contract) -> None:
    graph = fix(old("text-to-image"), contract).graph
    assert graph["4"] == {
        "class_type": "EmptySD3LatentImage",
        "inputs": {"width": 512, "height": 512, "batch_size": 1},
    }


def test_both_encoders_see_the_image_that_is_edited(contract: Contract) -> None:
    graph = fix(old("image-to-image"), contract).graph
    assert references(graph, "4") == references(graph, "5") == ["test_source.png"]
    assert graph["3"]["class_type"] == "VAEEncode"
    assert graph["6"]["inputs"]["latent_image"] == ["3", 0]


def test_several_images_become_references_of_their_own(contract: Contract) -> None:
    graph = fix(old("multi-image"), contract).graph
    assert references(graph, "4") == ["test_source.png", "second.png"]
    assert not any(node["class_type"] == "ImageBatch" for node in graph.values())


def test_the_style_is_the_second_reference(contract: Contract) -> None:
    assert references(fix(old("style-transfer"), contract).graph, "4") == ["test_source.png", "style.png"]


def test_the_graph_that_is_given_is_left_as_it_is(contract: Contract) -> None:
    before = old("image-to-image")
    fix(before, contract)
    assert before == old("image-to-image")


def test_a_native_graph_stays_as_it_is(edit: Graph, contract: Contract) -> None:
    fixed = fix(edit, contract)
    assert (fixed.graph, fixed.changes) == (edit, [])


def test_what_is_fixed_once_stays_fixed(contract: Contract) -> None:
    once = fix(old("multi-image"), contract).graph
    assert fix(once, contract).changes == []


def test_a_renamed_input_alone_is_put_right(edit: Graph, contract: Contract) -> None:
    edit["latent"]["inputs"]["image"] = edit["latent"]["inputs"].pop("pixels")
    fixed = fix(edit, contract)
    assert check(fixed.graph, contract) == []
    assert fixed.changes == ["node latent: input image is called pixels"]


def test_a_checkpoint_of_the_whole_model_becomes_three_loaders(contract: Contract) -> None:
    graph = old("image-to-image")
    graph["2"] = {
        "class_type": "CheckpointLoaderSimple",
        "inputs": {"ckpt_name": "Qwen-Image-Edit-2509.safetensors"},
    }
    for node in ("4", "5"):
        graph[node]["inputs"]["clip"] = ["2", 1]
    graph["6"]["inputs"]["transformer"] = ["2", 0]
    assert check(fix(graph, contract).graph, contract) == []


def test_seed_minus_one_is_drawn_and_said(contract: Contract) -> None:
    graph = old("text-to-image")
    graph["5"]["inputs"]["seed"] = -1
    fixed = fix(graph, contract)
    assert 0 <= fixed.graph["5"]["inputs"]["seed"] < 2**53
    assert any("seed -1" in change for change in fixed.changes)


def test_a_gguf_model_is_loaded_by_its_own_loader(contract: Contract) -> None:
    graph = old("text-to-image")
    graph["1"]["inputs"]["model_path"] = "/models/Qwen-Image-Edit-2509-Q4_K_M.gguf"
    fixed = fix(graph, contract).graph
    assert fixed["1_model"]["class_type"] == "UnetLoaderGGUF"
    assert check(fixed, contract) == []


def broken(change: str) -> Graph:
    graph = old("image-to-image")
    if change == "model":
        graph["2"]["inputs"]["model_path"] = "flux-dev"
    if change == "class":
        graph["7"]["class_type"] = "MyOwnDecoder"
    if change == "input":
        graph["6"]["inputs"]["tiling"] = True
    if change == "images":
        for number in range(4):
            graph[f"more{number}"] = {"class_type": "LoadImage", "inputs": {"image": f"{number}.png"}}
        graph["6"]["inputs"] |= {f"image{number}": [f"more{number}", 0] for number in (1, 2, 3)}
        graph["6"]["inputs"]["style_image"] = ["more0", 0]
    if change == "link":
        del graph["6"]["inputs"]["transformer"]
    return graph


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("model", "node 2 (QwenVLCLIPLoader): nobody can tell which model 'flux-dev' means"),
        ("class", "node 7 (MyOwnDecoder): no native node is known to do what it does"),
        ("input", "node 6 (QwenImageSamplerWithEdit): its input tiling has no counterpart in KSampler"),
        ("images", "it is given 5 images, and the model takes 3 at most"),
        ("link", "node 6 (QwenImageSamplerWithEdit): nothing is linked to model"),
    ],
)
def test_what_cannot_be_translated_is_refused_with_the_reason(
    change: str, reason: str, contract: Contract
) -> None:
    with pytest.raises(InputError) as refusal:
        fix(broken(change), contract)
    assert reason in refusal.value.found
