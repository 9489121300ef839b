"""Whether what is to run on each card fits into its memory, and what would.

A budget is what a service takes of the card at its height, in MiB as nvidia-smi counts. Where it comes from stands
beside it, in roles/gpu_pin/vars/main.yml.
"""

from __future__ import annotations

import itertools
from typing import Any

# Ansible puts the project's own module_utils into this package.
from ansible.module_utils.nvidia_smi import advice  # type: ignore[import-untyped]

# Service -> variant -> MiB.
Budgets = dict[str, dict[str, int]]
# As the role has it: each figure as `vram_budget_mb`, with its basis and its source beside it.
Table = dict[str, dict[str, dict[str, Any]]]
Pins = dict[str, dict[str, Any]]


class PlanError(Exception):
    """Something does not fit, or cannot be added up; the message has a sentence for each."""


def plan(
    services: dict[str, Any], pins: Pins, gpus: list[dict[str, Any]], table: Table, reserve_mb: int
) -> list[dict[str, Any]]:
    """One entry per card that a service runs on: `name`, `uuid`, `memory_mib`, `services`, `used_mb`, `free_mb`.

    `reserve_mb` is left free on each card, for the display and for what CUDA keeps for itself. A budget that nobody
    knows is an error only where two services share the card: alone, a service has all of it.
    """
    budgets = {
        service: {variant: entry["vram_budget_mb"] for variant, entry in variants.items()}
        for service, variants in table.items()
    }
    cards, problems = [], []
    for gpu in gpus:
        tenants = [service for service, pin in pins.items() if pin["uuid"] == gpu["uuid"]]
        if not tenants:
            continue
        try:
            needs = {service: _need(service, services[service], budgets) for service in tenants}
            cards.append(_card(gpu, needs, reserve_mb))
            if cards[-1]["free_mb"] is not None and cards[-1]["free_mb"] < 0:
                ways = _ways_out(cards[-1], services, pins, gpus, budgets, reserve_mb)
                raise PlanError(_refusal(cards[-1], reserve_mb, ways))
        except PlanError as error:
            problems.append(f"{gpu['name']} ({gpu['uuid']}): {error}")
    if problems:
        raise PlanError("\n".join(problems))
    return cards


def _need(service: str, wish: dict[str, Any], budgets: Budgets) -> tuple[str, int | None]:
    """(variant or "", MiB or None where nobody knows). Without a variant it is the service's first one."""
    known = budgets.get(service, {})
    variant = wish.get("variant", "")
    if "vram_budget_mb" in wish:
        return variant, wish["vram_budget_mb"]
    if not known:
        return variant, None
    if not variant:
        variant = next(iter(known))
    if variant not in known:
        raise PlanError(
            advice(
                f"no VRAM budget for {service} as {variant}",
                f"one of {_listed(known)}",
                "correct variant in gpu_pin_services, or give vram_budget_mb there",
            )
        )
    return variant, known[variant]


def _card(gpu: dict[str, Any], needs: dict[str, tuple[str, int | None]], reserve_mb: int) -> dict[str, Any]:
    unknown = sorted(service for service, (_, budget) in needs.items() if budget is None)
    if unknown and len(needs) > 1:
        raise PlanError(
            advice(
                f"{', '.join(sorted(needs))} share the card, and nobody knows the VRAM of {', '.join(unknown)}",
                "a budget for each service of a shared card",
                f"give {', '.join(unknown)} a vram_budget_mb in gpu_pin_services",
            )
        )
    used = None if unknown else sum(budget or 0 for _, budget in needs.values())
    memory = gpu["memory_mib"]
    return {
        "name": gpu["name"],
        "uuid": gpu["uuid"],
        "memory_mib": memory,
        "services": {
            service: {"variant": variant, "vram_budget_mb": budget}
            for service, (variant, budget) in needs.items()
        },
        "used_mb": used,
        "free_mb": None if used is None or memory is None else memory - used - reserve_mb,
    }


def _refusal(card: dict[str, Any], reserve_mb: int, ways: list[str]) -> str:
    parts = [_part(service, **need) for service, need in sorted(card["services"].items())]
    said: str = advice(
        f"{' + '.join(parts)} + {reserve_mb} in reserve = {card['used_mb'] + reserve_mb} MiB of VRAM",
        f"at most the card's {card['memory_mib']} MiB",
        f"choose what fits: {'; or '.join(ways)}" if ways else "take a card with more memory",
    )
    return said


def _ways_out(
    card: dict[str, Any],
    services: dict[str, Any],
    pins: Pins,
    gpus: list[dict[str, Any]],
    budgets: Budgets,
    reserve_mb: int,
) -> list[str]:
    """What would fit, the smallest change first: other variants, one service off, one service on another card."""
    tenants = card["services"]
    room = card["memory_mib"] - reserve_mb
    return [
        *_variants_that_fit(tenants, services, budgets, room),
        *_off(card, reserve_mb),
        *_moved(card, services, pins, gpus, budgets, reserve_mb),
    ]


def _variants_that_fit(
    tenants: dict[str, Any], services: dict[str, Any], budgets: Budgets, room: int
) -> list[str]:
    choices = {}
    for service, need in tenants.items():
        # A budget that the operator gave stands for the operator's own variant.
        fixed = "vram_budget_mb" in services[service]
        choices[service] = {need["variant"]: need["vram_budget_mb"]} if fixed else budgets[service]
    found = []
    for variants in itertools.product(*choices.values()):
        chosen = dict(zip(choices, variants, strict=True))
        if sum(choices[service][variant] for service, variant in chosen.items()) <= room:
            changed = {s: v for s, v in chosen.items() if v != tenants[s]["variant"]}
            told = " and ".join(f"{s} as {v} ({choices[s][v]} MiB)" for s, v in sorted(changed.items()))
            found.append((len(changed), told))
    fewest = min((count for count, _ in found), default=0)
    return sorted(told for count, told in found if count == fewest)


def _off(card: dict[str, Any], reserve_mb: int) -> list[str]:
    room = card["memory_mib"] - reserve_mb
    budgets = {service: need["vram_budget_mb"] for service, need in card["services"].items()}
    if len(budgets) < 2:
        return []
    return [
        f"{service} off (runs: false)"
        for service in sorted(budgets)
        if card["used_mb"] - budgets[service] <= room
    ]


def _moved(
    card: dict[str, Any],
    services: dict[str, Any],
    pins: Pins,
    gpus: list[dict[str, Any]],
    budgets: Budgets,
    reserve_mb: int,
) -> list[str]:
    """Each service for which another card has the room, where that frees enough of this one."""
    found = []
    for service, need in sorted(card["services"].items()):
        if card["used_mb"] - need["vram_budget_mb"] > card["memory_mib"] - reserve_mb:
            continue
        for gpu in gpus:
            there = [other for other, pin in pins.items() if pin["uuid"] == gpu["uuid"]]
            if gpu["uuid"] == card["uuid"] or gpu["memory_mib"] is None:
                continue
            try:
                taken = [_need(other, services[other], budgets)[1] for other in there]
            except PlanError:
                continue
            known = [budget for budget in taken if budget is not None]
            needed = sum(known, start=need["vram_budget_mb"]) + reserve_mb
            if known == taken and needed <= gpu["memory_mib"]:
                found.append(f"{service} on {gpu['name']}")
    return found


def _part(service: str, variant: str, vram_budget_mb: int) -> str:
    return f"{service}{f' as {variant}' if variant else ''} {vram_budget_mb}"


def _listed(known: dict[str, int]) -> str:
    return ", ".join(f"{variant} ({budget} MiB)" for variant, budget in sorted(known.items()))
