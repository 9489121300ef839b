"""microsoft.iis.web_app_pool and its info module."""

from __future__ import annotations

from typing import Any

from ..applicationhost import POOL_SCHEMA, timespan
from ..state import AppPool
from .contract import Machine, Module, ModuleFailure, NotModelled, Option, Params, Result
from .features import require


def _value(name: str, kind: str, value: Any) -> Any:
    text = str(value)
    try:
        if kind == "bool":
            return {"true": True, "false": False}[text.lower()]
        if kind == "timespan":
            return timespan(text)
        if kind == "str":
            return text
        return next(choice for choice in kind.split() if choice.lower() == text.lower())
    except (KeyError, ValueError, StopIteration):
        raise ModuleFailure(
            f"Failed to set attribute to Web App Pool. Attribute: {name}, Value: {value}, "
            f"Exception: not a valid {kind}"
        ) from None


def require_administration(machine: Machine) -> None:
    """The WebAdministration module, which every microsoft.iis module and every IIS script imports first."""
    require(
        machine,
        "Web-Scripting-Tools",
        "The specified module 'WebAdministration' was not loaded because no valid module file was found "
        "in any module directory.",
    )


def find_pool(machine: Machine, name: str) -> tuple[str, AppPool] | None:
    return next(((n, p) for n, p in machine.state.app_pools.items() if n.lower() == name.lower()), None)


def web_app_pool(machine: Machine, params: Params) -> Result:
    require_administration(machine)
    name, state = params["name"], params["state"]
    found = find_pool(machine, name)
    if state == "absent":
        if found:
            del machine.state.app_pools[found[0]]
        return {"changed": bool(found)}
    changed = found is None
    if found is None:
        machine.state.app_pools[name] = AppPool(attributes={k: v for k, (_, v) in POOL_SCHEMA.items()})
        if machine.check:
            # The real module stops here too: there is no pool yet to compare attributes with.
            return {"changed": True}
    pool = machine.state.app_pools[found[0] if found else name]
    for key, raw in params["attributes"].items():
        if key not in POOL_SCHEMA:
            raise NotModelled(f"the application pool attribute {key!r}")
        kind, default = POOL_SCHEMA[key]
        value = _value(key, kind, raw)
        if pool.attributes.get(key, default) != value:
            pool.attributes[key] = value
            changed = True
    if state in ("started", "stopped") and pool.state != state:
        pool.state = state
        changed = True
    return {"changed": changed or state == "restarted"}


def web_app_pool_info(machine: Machine, params: Params) -> Result:
    require_administration(machine)
    pools = machine.state.app_pools
    names = [params["name"]] if params["name"] else list(pools)
    described = []
    for name in names:
        found = find_pool(machine, name)
        if found is None:
            raise ModuleFailure(
                "Failed to fetch the info of the required application pool Exception: "
                f"Cannot find path 'IIS:\\AppPools\\{name}' because it does not exist."
            )
        attributes: dict[str, Any] = {}
        for key, (_, default) in POOL_SCHEMA.items():
            *parents, last = key.split(".")
            here = attributes
            for parent in parents:
                here = here.setdefault(parent, {})
            here[last] = found[1].attributes.get(key, default)
        described.append({"name": found[0], "attributes": {**attributes, "state": found[1].state.title()}})
    return {"changed": False, "exists": bool(described), "app_pools": described}


MODULES = {
    "microsoft.iis.web_app_pool": Module(
        web_app_pool,
        {
            "name": Option(required=True),
            "state": Option(
                default="present", choices=("absent", "present", "restarted", "started", "stopped")
            ),
            "attributes": Option("dict", {}),
        },
    ),
    "microsoft.iis.web_app_pool_info": Module(web_app_pool_info, {"name": Option()}),
}
