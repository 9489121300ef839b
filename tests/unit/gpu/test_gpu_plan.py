"""What is to run on a card fits into its memory, or the operator is told what would."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.lab.names import ROOT

from .conftest import gpu_pins, gpu_plan, nvidia_smi

RTX_3080 = {"name": "NVIDIA GeForce RTX 3080", "uuid": "GPU-6a1f0c52", "memory_mib": 16384}
RTX_3090 = {"name": "NVIDIA GeForce RTX 3090", "uuid": "GPU-e47b2d90", "memory_mib": 24576}
RESERVE = yaml.safe_load((ROOT / "roles/gpu_pin/defaults/main.yml").read_text())["gpu_pin_vram_reserve_mb"]
TABLE = yaml.safe_load((ROOT / "roles/gpu_pin/vars/main.yml").read_text())["_gpu_pin_vram_budgets"]
QWEN = {"name": RTX_3090["name"], "variant": "fp8-lightning"}
FORGE = {"name": RTX_3080["name"]}
TURBO = {"name": RTX_3090["name"]}


def plan(services: dict[str, Any], *gpus: dict[str, Any]) -> list[dict[str, Any]]:
    cards = gpus or (RTX_3080, RTX_3090)
    pins = {
        service: {"uuid": next(gpu["uuid"] for gpu in cards if gpu["name"] == wish["name"])}
        for service, wish in services.items()
    }
    found: list[dict[str, Any]] = gpu_plan.plan(services, pins, list(cards), TABLE, RESERVE)
    return found


def refusal(services: dict[str, Any], *gpus: dict[str, Any]) -> str:
    with pytest.raises(gpu_plan.PlanError) as caught:
        plan(services, *gpus)
    return str(caught.value)


def test_the_default_plan_fits_qwen_alone_on_the_3090_and_forge_on_the_3080() -> None:
    forge, qwen = plan({"comfyui-qwen": QWEN, "myia": FORGE})
    assert (forge["name"], list(forge["services"])) == (RTX_3080["name"], ["myia"])
    assert (qwen["name"], qwen["used_mb"]) == (RTX_3090["name"], 22016)
    assert qwen["free_mb"] == 24576 - 22016 - RESERVE


@pytest.mark.parametrize("variant", ["fp8", "fp8-lightning"])
def test_turbo_beside_fp8_is_refused_with_what_fits(variant: str) -> None:
    message = refusal({"comfyui-qwen": {**QWEN, "variant": variant}, "myia": FORGE, "myia-turbo": TURBO})
    assert message == (
        f"NVIDIA GeForce RTX 3090 (GPU-e47b2d90): found: comfyui-qwen as {variant} 22016"
        f" + myia-turbo as forge-sdxl-turbo 8192 + {RESERVE} in reserve = {30208 + RESERVE} MiB of VRAM;"
        " expected: at most the card's 24576 MiB; next step: choose what fits:"
        " comfyui-qwen as gguf-q4 (15020 MiB); or comfyui-qwen as nunchaku-int4 (14004 MiB);"
        " or comfyui-qwen off (runs: false); or myia-turbo off (runs: false)"
    )


@pytest.mark.parametrize("variant", ["gguf-q4", "nunchaku-int4"])
def test_both_run_with_a_smaller_model(variant: str) -> None:
    (card,) = plan({"comfyui-qwen": {**QWEN, "variant": variant}, "myia-turbo": TURBO})
    assert set(card["services"]) == {"comfyui-qwen", "myia-turbo"}
    assert card["free_mb"] >= 0


def test_a_card_that_stands_idle_is_named_where_the_service_fits_there() -> None:
    message = refusal({"comfyui-qwen": QWEN, "myia-turbo": TURBO})
    assert message.endswith("or myia-turbo on NVIDIA GeForce RTX 3080")
    # Not where somebody is already there who needs the room.
    full = {"comfyui-qwen": QWEN, "myia-turbo": TURBO, "myia": {**FORGE, "vram_budget_mb": 9000}}
    assert "on NVIDIA GeForce RTX 3080" not in refusal(full)


def test_a_service_too_big_for_its_card_alone_is_refused_too() -> None:
    message = refusal({"comfyui-qwen": {**QWEN, "name": RTX_3080["name"]}})
    assert "at most the card's 16384 MiB" in message
    assert "comfyui-qwen as gguf-q4 (15020 MiB)" in message
    assert "comfyui-qwen on NVIDIA GeForce RTX 3090" in message
    assert "off" not in message


def test_a_model_that_no_card_of_the_site_holds_is_refused() -> None:
    message = refusal({"comfyui-qwen": {**QWEN, "variant": "bf16"}})
    assert "found: comfyui-qwen as bf16 41529 + 512 in reserve" in message
    assert "comfyui-qwen as fp8 (22016 MiB)" in message


def test_where_nothing_fits_that_is_said() -> None:
    small = {**RTX_3080, "memory_mib": 4096}
    message = refusal({"comfyui-qwen": {**QWEN, "name": small["name"]}}, small)
    assert message.endswith("next step: take a card with more memory")


def test_without_a_variant_the_first_of_the_table_is_reckoned_with() -> None:
    assert plan({"comfyui-qwen": {"name": RTX_3090["name"]}})[0]["used_mb"] == 22016


def test_the_operators_own_figure_goes_before_ours_and_is_not_talked_away() -> None:
    services = {"comfyui-qwen": {**QWEN, "vram_budget_mb": 15500}, "myia-turbo": TURBO}
    assert plan(services)[0]["used_mb"] == 15500 + 8192
    services["comfyui-qwen"]["vram_budget_mb"] = 20000
    assert "comfyui-qwen as gguf-q4" not in refusal(services)


def test_an_unknown_variant_is_refused_with_those_that_are_known() -> None:
    message = refusal({"comfyui-qwen": {**QWEN, "variant": "fp4"}})
    assert "found: no VRAM budget for comfyui-qwen as fp4" in message
    assert "fp8-lightning (22016 MiB), gguf-q4 (15020 MiB)" in message


def test_a_service_of_unknown_need_may_have_a_card_alone_and_share_none() -> None:
    (card,) = plan({"studio": {"name": RTX_3090["name"]}})
    assert (card["used_mb"], card["free_mb"]) == (None, None)
    message = refusal({"studio": {"name": RTX_3090["name"]}, "comfyui-qwen": QWEN})
    assert "nobody knows the VRAM of studio" in message
    assert "give studio a vram_budget_mb" in message


def test_a_card_whose_memory_nobody_tells_refuses_nothing() -> None:
    unknown = {**RTX_3090, "memory_mib": None}
    (card,) = plan({"comfyui-qwen": QWEN, "myia-turbo": TURBO}, unknown)
    assert (card["used_mb"], card["free_mb"]) == (30208, None)


def test_every_card_with_a_problem_is_told_at_once() -> None:
    services = {
        "comfyui-qwen": QWEN,
        "myia-turbo": TURBO,
        "myia": {**FORGE, "vram_budget_mb": 20000},
    }
    lines = refusal(services).splitlines()
    assert [line.split(" (")[0] for line in lines] == [RTX_3080["name"], RTX_3090["name"]]


@given(
    memory=st.integers(1024, 100_000),
    budgets=st.lists(st.integers(0, 60_000), min_size=1, max_size=4),
)
def test_whatever_the_figures_nothing_is_planned_past_a_cards_memory(memory: int, budgets: list[int]) -> None:
    gpu = {**RTX_3090, "memory_mib": memory}
    services = {
        f"s{number}": {"name": gpu["name"], "vram_budget_mb": budget} for number, budget in enumerate(budgets)
    }
    fits = sum(budgets) + RESERVE <= memory
    if not fits:
        assert "; expected: " in refusal(services, gpu)
        return
    (card,) = plan(services, gpu)
    assert card["free_mb"] == memory - RESERVE - sum(budgets)


def test_every_figure_says_what_it_is_worth_and_where_it_comes_from() -> None:
    entries = [entry for variants in TABLE.values() for entry in variants.values()]
    assert all(set(entry) == {"vram_budget_mb", "basis", "source"} for entry in entries)
    assert {entry["basis"] for entry in entries} <= {"reported", "estimated", "claimed"}


def test_every_set_of_the_models_lock_has_a_budget() -> None:
    lock = yaml.safe_load((ROOT / "comfyui" / "models.lock.yml").read_text())
    missing = sorted(set(lock["sets"]) - set(TABLE["comfyui-qwen"]))
    assert not missing, f"{missing}: add a VRAM budget to roles/gpu_pin/vars/main.yml, with its source"


def test_the_pins_and_the_plan_agree_on_what_runs() -> None:
    gpus = tuple(
        nvidia_smi.Gpu(
            number, gpu["name"], gpu["uuid"], f"00000000:0{number}:00.0", gpu["memory_mib"], "", ""
        )
        for number, gpu in enumerate((RTX_3080, RTX_3090))
    )
    services = {"comfyui-qwen": QWEN, "myia": FORGE, "myia-turbo": {**TURBO, "runs": False}}
    pins = gpu_pins.resolve(services, gpus, (), "wsl")
    cards = gpu_plan.plan(services, pins, [RTX_3080, RTX_3090], TABLE, RESERVE)
    assert [list(card["services"]) for card in cards] == [["myia"], ["comfyui-qwen"]]
