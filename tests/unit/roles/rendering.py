"""A template as a deployment would render it: Ansible's own templar, in which an undefined variable is an error."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

# Ansible ships no types.
from ansible.inventory.manager import InventoryManager  # type: ignore[import-untyped]
from ansible.parsing.dataloader import DataLoader  # type: ignore[import-untyped]
from ansible.plugins.loader import init_plugin_loader  # type: ignore[import-untyped]
from ansible.template import Templar, generate_ansible_template_vars, trust_as_template  # type: ignore[import-untyped]
from ansible.vars.manager import VariableManager  # type: ignore[import-untyped]

from tests.unit.gpu.conftest import gpu_pins, nvidia_smi

from .interface import ROOT

# What an inventory has to give, for a site that takes every default.
LEAST: dict[str, object] = {
    "site_name": "plain",
    "site_build_dir": "/build/plain",
    "site_public_name": "images.example.org",
    "site_public_sites": [{"name": "images.example.org", "backend_port": 8188}],
    "site_token_file": "/build/plain/token",
    # Ansible's own, and what role wsl_host is told where it starts WSL afresh.
    "ansible_inventory_sources": ["/home/me/comfystack/inventories/plain"],
    "wsl_host_restart": {"reasons": ["new settings"], "target": "deploy"},
    "comfyui_service_models_dir": "/srv/models",
    "api_service_tokens": [{"name": "operator", "token": "0123456789abcdef0123456789abcdef"}],
    "comfyui_image_reference": "comfystack/comfyui-qwen:0123456789ab",
    "api_service_reference": "comfystack/api:0123456789ab",
    "edge_proxy_reference": "comfystack/edge:0123456789ab",
}


@cache
def _plugins() -> None:
    init_plugin_loader()


def site(inventory: Path, host: str, **secrets: str) -> dict[str, Any]:
    """What an inventory says of a host, as Ansible puts it together. `secrets` stand for its Vault."""
    _plugins()
    loader = DataLoader()
    manager = InventoryManager(loader=loader, sources=[str(inventory)])
    found = manager.get_host(host)
    assert found is not None, f"{inventory} has no host {host}"
    variables = VariableManager(loader=loader, inventory=manager).get_vars(host=found)
    return {**variables, **secrets}


def variables_of(role: str, given: dict[str, Any]) -> dict[str, Any]:
    """A role's variables and those of role `site`, in Ansible's order: defaults, the inventory's, the role's own."""
    loader = DataLoader()

    def load(name: str, file: str) -> dict[str, Any]:
        path = ROOT / "roles" / name / file
        return (loader.load_from_file(str(path), trusted_as_template=True) or {}) if path.exists() else {}

    return {
        **load("site", "defaults/main.yml"),
        **load(role, "defaults/main.yml"),
        "role_path": str(ROOT / "roles" / role),
        **given,
        **load(role, "vars/main.yml"),
    }


def render(template: str, role: str, given: dict[str, Any], **facts: object) -> str:
    """The text of a template, a path in this repository, for a role. Raises AnsibleError where it has none."""
    _plugins()
    path = ROOT / template
    variables = {**variables_of(role, given), **generate_ansible_template_vars(str(path)), **facts}
    templar = Templar(loader=DataLoader(), variables=variables)
    text = templar.template(trust_as_template(path.read_text()), escape_backslashes=False)
    assert isinstance(text, str), f"{template} became {type(text).__name__}"
    return text


def value(expression: str, role: str, given: dict[str, Any]) -> Any:
    """What a variable of a role comes to, all templates in it resolved."""
    _plugins()
    templar = Templar(loader=DataLoader(), variables=variables_of(role, given))
    return templar.template(trust_as_template("{{ " + expression + " }}"))


def pins(mode: str) -> dict[str, Any]:
    """The fact `gpu_pins` as role gpu_pin sets it on a host with the site's two cards; `mode` is wsl or native."""
    cards = [
        ("NVIDIA GeForce RTX 3080", "GPU-30800000-0000-4000-8000-000000000000", "00000000:01:00.0", 16384),
        ("NVIDIA GeForce RTX 3090", "GPU-30900000-0000-4000-8000-000000000000", "00000000:02:00.0", 24576),
    ]
    gpus = tuple(
        nvidia_smi.Gpu(number, name, uuid, address, memory, "580.97", "8.6")
        for number, (name, uuid, address, memory) in enumerate(cards)
    )
    services = {"comfyui-qwen": {"name": "NVIDIA GeForce RTX 3090"}}
    found: dict[str, Any] = gpu_pins.resolve(services, gpus, (), mode)
    return found
