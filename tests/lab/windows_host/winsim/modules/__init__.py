"""The modelled Ansible modules, and how one runs: arguments checked, state written whole or not at all."""

from __future__ import annotations

import logging
from typing import Any

from ..state import Store
from . import (
    archives,
    certificates,
    facts,
    features,
    files,
    firewall,
    iis_pools,
    iis_sites,
    packages,
    powershell,
    programs,
    registry,
    services,
    tasks,
    users,
)
from .contract import Machine, Module, ModuleFailure, NotModelled, Result, read_params

log = logging.getLogger("winsim.modules")

_MODULES: dict[str, Module] = {
    **facts.MODULES,
    **features.MODULES,
    **files.MODULES,
    **certificates.MODULES,
    **archives.MODULES,
    **firewall.MODULES,
    **services.MODULES,
    **iis_pools.MODULES,
    **iis_sites.MODULES,
    **packages.MODULES,
    **powershell.MODULES,
    **programs.MODULES,
    **registry.MODULES,
    **tasks.MODULES,
    **users.MODULES,
}


def run_module(store: Store, user: str, name: str, arguments: dict[str, Any]) -> Result:
    """Run the module `name` (FQCN) with the arguments ansible-core sent; the answer is always a result."""
    check = bool(arguments.get("_ansible_check_mode"))
    diff = bool(arguments.get("_ansible_diff"))
    given = {key: value for key, value in arguments.items() if not key.startswith("_ansible_")}
    try:
        module = _MODULES.get(name)
        if module is None:
            raise NotModelled(f"the module {name!r}")
        params = read_params(name, {**module.options, **module.internal}, given, user)
        if check or module.lasting:
            return module.run(Machine(store, store.read(), user, check=check, diff=diff), params)
        with store.edit() as state:
            return module.run(Machine(store, state, user, check=False, diff=diff), params)
    except ModuleFailure as failure:
        return {"changed": False, "failed": True, "msg": str(failure), **failure.details}
    except Exception as error:  # the model itself is wrong: Ansible's user must see that, and where
        log.exception("the model of %s broke", name)
        return {
            "failed": True,
            "msg": f"The Windows simulator's model of {name} broke: {error!r}; see its log",
        }
