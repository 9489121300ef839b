"""`comfystack workflow validate` finds, without a server, what a real server would refuse, and says where."""

from __future__ import annotations

import pytest
import yaml
from comfystack import graphs, parameters
from comfystack.workflow.check import Finding, check
from comfystack.workflow.contract import Contract, of_server
from comfystack.workflow.reading import locked_names

from tests.contract import samples
from tests.unit.docs.pages import ROOT

from .conftest import Graph

LOCK = ROOT / "comfyui" / "models.lock.yml"
# The recorded refusals that are about a graph; what a server alone can know is told apart.
REFUSED = {
    "prompt_400_bad_link_node": ("3", "image", "bad_link"),
    "prompt_400_bad_link_shape": ("3", "image", "bad_link"),
    "prompt_400_bad_link_type": ("3", "image", "bad_link"),
    "prompt_400_link_index_oob": ("3", "image", "bad_link"),
    "prompt_400_bad_type": ("2", "width", "wrong_type"),
    "prompt_400_cycle": ("2", "", "cycle"),
    "prompt_400_missing_input": ("2", "width", "missing_input"),
    "prompt_400_no_outputs": ("3", "", "no_output"),
    "prompt_400_not_in_list": ("2", "upscale_method", "not_in_list"),
    "prompt_400_too_big": ("2", "width", "out_of_range"),
    "prompt_400_too_small": ("2", "width", "out_of_range"),
    "prompt_400_unknown_class": ("3", "", "unknown_class"),
}
ELSEWHERE = {
    "prompt_400_bad_prompt_id",  # of the request, not of the graph
    "prompt_400_empty_prompt",  # refused when the file is read
    "prompt_400_image_missing",  # only the server knows its files
    "prompt_400_missing_class_type",  # refused when the file is read
    "prompt_400_model_missing",  # only the server knows its files
    "prompt_400_no_prompt",
    "prompt_400_prompt_is_list",
}


def one(findings: list[Finding]) -> Finding:
    assert len(findings) == 1, findings
    return findings[0]


def test_every_recorded_refusal_is_looked_at() -> None:
    assert set(samples.names("prompt_400_*")) == set(REFUSED) | ELSEWHERE


@pytest.mark.parametrize(("name", "where"), REFUSED.items())
def test_what_a_real_server_refused_is_found_at_its_node(
    name: str, where: tuple[str, str, str], contract: Contract
) -> None:
    found = one(check(samples.graph(name), contract))
    assert (found.node, found.field, found.kind) == where
    assert found.expected
    assert found.next_step


@pytest.mark.parametrize("name", ["prompt_ok", "prompt_loadimage", "prompt_slow"])
def test_what_a_real_server_took_has_no_finding(name: str, contract: Contract) -> None:
    assert check(samples.graph(name), contract) == []


@pytest.mark.parametrize("name", graphs.names())
def test_every_shipped_workflow_is_valid_and_its_models_are_in_the_lock(
    name: str, contract: Contract
) -> None:
    assert check(graphs.load(name), contract, locked_names(LOCK)) == []


@pytest.mark.parametrize("name", graphs.names())
def test_every_model_set_of_a_shipped_workflow_has_all_its_files(name: str, contract: Contract) -> None:
    lock = yaml.safe_load(LOCK.read_text())
    for chosen in parameters.schema(name).model_sets:
        entries = [lock["files"][key] for key in lock["sets"][chosen]]
        files = {
            folder: frozenset(entry["name"] for entry in entries if entry["folder"] == folder)
            for folder in {entry["folder"] for entry in entries}
        }
        assert check(graphs.load(name), contract, files) == [], chosen


def test_no_shipped_workflow_needs_a_custom_node(contract: Contract) -> None:
    for name in graphs.names():
        for node in graphs.load(name).values():
            assert contract.module(node["class_type"]) == "", (name, node["class_type"])


def test_a_model_that_is_not_in_the_lock_is_named_with_the_nearest_that_is(
    edit: Graph, contract: Contract
) -> None:
    edit["model"]["inputs"]["unet_name"] = "qwen_image_edit_2509_fp8_e4m3fn"
    found = one(check(edit, contract, locked_names(LOCK)))
    assert (found.node, found.field, found.kind) == ("model", "unet_name", "model_not_locked")
    assert "qwen_image_edit_2509_fp8_e4m3fn.safetensors" in found.next_step


def test_models_and_pictures_that_the_server_lacks_are_found_there(edit: Graph, contract: Contract) -> None:
    classes = {name: contract.classes[name] for name in {node["class_type"] for node in edit.values()}}
    found = check(edit, of_server(classes, "https://example.test"))
    assert {(one.node, one.kind) for one in found} == {
        ("model", "model_missing"),
        ("text_encoder", "model_missing"),
        ("vae", "model_missing"),
        ("image1", "image_missing"),
    }


def test_a_renamed_input_is_named_by_both_names(edit: Graph, contract: Contract) -> None:
    inputs = edit["positive"]["inputs"]
    inputs["text"] = inputs.pop("prompt")
    found = one(check(edit, contract))
    assert (found.kind, found.field, found.next_step) == ("renamed_input", "prompt", "rename text to prompt")


def test_an_input_that_the_server_would_pass_over_is_found(edit: Graph, contract: Contract) -> None:
    edit["sampler"]["inputs"]["edit_strength"] = 0.5
    assert one(check(edit, contract)).kind == "unknown_input"


def test_a_value_where_a_link_belongs_is_found(edit: Graph, contract: Contract) -> None:
    edit["sampler"]["inputs"]["model"] = "qwen"
    assert one(check(edit, contract)).kind == "bad_link"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "many", None, [], {}])
def test_no_value_whatever_ends_in_anything_but_a_finding(
    value: object, edit: Graph, contract: Contract
) -> None:
    for name in list(edit["sampler"]["inputs"]):
        changed = {
            **edit,
            "sampler": {**edit["sampler"], "inputs": {**edit["sampler"]["inputs"], name: value}},
        }
        assert check(changed, contract), name


def test_a_class_that_exists_but_is_not_recorded_is_no_finding(contract: Contract) -> None:
    name = next(iter(contract.only_named))
    graph = {"1": {"class_type": name, "inputs": {}}}
    assert check(graph, contract) == []
