"""microsoft.iis.website and its info module, with the sharp edges of version 1.1.0."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..state import Binding, Site, State
from .contract import Machine, Module, ModuleFailure, NotModelled, Option, Params, Result, read_params
from .iis_pools import find_pool, require_administration

_BINDING = {
    "ip": Option(),
    "port": Option("int"),
    "hostname": Option(),
    "protocol": Option(default="http", choices=("http", "https")),
    "use_sni": Option("bool"),
    "use_ccs": Option("bool", modelled=(False,)),
    "certificate_hash": Option(),
    "certificate_store_name": Option(default="my"),
}
_REMOVAL = {key: _BINDING[key] for key in ("ip", "port", "hostname")}


def _information(ip: Any, port: Any, hostname: Any) -> str:
    """IIS's own key of a binding, "ip:port:hostname"; an argument left out is empty, as in PowerShell."""
    return f"{ip or ''}:{port or ''}:{hostname or ''}".lower()


def _key(binding: Binding) -> str:
    return _information(binding.ip, binding.port, binding.hostname)


def _certificate(state: State, wanted: Params) -> tuple[str, str]:
    """The store's own name and the thumbprint, or the failure of the real module."""
    for store, certificates in state.certificates.items():
        if store.lower() == wanted["certificate_store_name"].lower():
            for thumbprint in certificates:
                if thumbprint.lower() == wanted["certificate_hash"].lower():
                    return store, thumbprint
    raise ModuleFailure(
        "Unable to locate certificate at "
        f"cert:\\LocalMachine\\{wanted['certificate_store_name']}\\{wanted['certificate_hash']}"
    )


def _validate(machine: Machine, wanted: Params) -> None:
    if wanted["use_sni"] and wanted["protocol"] != "https":
        raise ModuleFailure("use_sni can only be set for https protocol")
    if wanted["use_sni"] and not wanted["hostname"]:
        raise ModuleFailure("must specify hostname value when use_sni is set.")
    if wanted["protocol"] == "https" and not wanted["certificate_hash"]:
        raise ModuleFailure("must either specify a certificate_hash or use_ccs.")
    if wanted["certificate_hash"]:
        if wanted["protocol"] != "https":
            raise ModuleFailure("You can only provide a certificate thumbprint when protocol is set to https")
        store, thumbprint = _certificate(machine.state, wanted)
        if machine.state.certificates[store][thumbprint].get("key_pem") is None:
            # AddSslCertificate's HRESULT 0x80070520, which real hosts give for a key that was not imported.
            raise ModuleFailure(
                "A specified logon session does not exist. It may already have been terminated."
            )


def _add(machine: Machine, site: Site, wanted: Params) -> None:
    if not wanted["ip"] or not wanted["port"]:
        raise NotModelled("a binding without ip and port")
    binding = Binding(
        wanted["protocol"], wanted["port"], wanted["hostname"] or "", wanted["ip"], bool(wanted["use_sni"])
    )
    if wanted["certificate_hash"]:
        binding.certificate_store_name, binding.certificate_hash = _certificate(machine.state, wanted)
    site.bindings.append(binding)


def _edit(machine: Machine, binding: Binding, wanted: Params) -> bool:
    """Change a binding in place; True if the module would report it.

    Version 1.1.0 swaps the certificate without reporting a change, in check mode too. The second half of that
    cannot be acted out here (check mode has no state to write), so it is refused: see the role's sites stage.
    """
    changed = False
    if wanted["use_sni"] is None:
        wanted["use_sni"] = binding.use_sni
    _validate(machine, wanted)
    if binding.protocol != wanted["protocol"]:
        binding.protocol, changed = wanted["protocol"], True
    if binding.use_sni != bool(wanted["use_sni"]):
        binding.use_sni, changed = bool(wanted["use_sni"]), True
    if wanted["certificate_hash"]:
        store, thumbprint = _certificate(machine.state, wanted)
        if (store, thumbprint) != (binding.certificate_store_name, binding.certificate_hash):
            if machine.check:
                raise NotModelled(
                    "that microsoft.iis.website 1.1.0 really rebinds a certificate in check mode: "
                    "do not pass it such a binding there"
                )
            binding.certificate_store_name, binding.certificate_hash = store, thumbprint
    return changed


def _bind(machine: Machine, site: Site, bindings: dict[str, Any]) -> bool:
    if "set" in bindings and ("add" in bindings or "remove" in bindings):
        raise ModuleFailure("parameters are mutually exclusive: set|add, set|remove found in bindings")
    wanted = [
        read_params("binding", _BINDING, b, machine.user)
        for b in bindings.get("set", bindings.get("add", []))
    ]
    names = [_information(w["ip"], w["port"], w["hostname"]) for w in wanted]
    changed = False
    for name, one in zip(names, wanted, strict=True):
        here = next((b for b in site.bindings if _key(b) == name), None)
        if here is None:
            _validate(machine, one)
            _add(machine, site, one)
            changed = True
        else:
            changed = _edit(machine, here, one) or changed
    if "set" in bindings:
        gone = [b for b in site.bindings if _key(b) not in names]
    else:
        removals = [read_params("binding", _REMOVAL, b, machine.user) for b in bindings.get("remove", [])]
        unwanted = [_information(r["ip"], r["port"], r["hostname"]) for r in removals]
        gone = [b for b in site.bindings if _key(b) in unwanted]
    site.bindings = [b for b in site.bindings if b not in gone]
    return changed or bool(gone)


def find_site(state: State, name: str) -> tuple[str, Site] | None:
    return next(((n, s) for n, s in state.sites.items() if n.lower() == name.lower()), None)


def _folder(machine: Machine, path: str) -> str:
    if not machine.path(path).is_dir():
        raise ModuleFailure("specified folder must already exist: physical_path")
    return path


def _new_site_id(sites: Iterable[Site]) -> int:
    return max((site.site_id for site in sites), default=0) + 1


def website(machine: Machine, params: Params) -> Result:
    require_administration(machine)
    name, wanted_state, state = params["name"], params["state"], machine.state
    found = find_site(state, name)
    if wanted_state == "absent":
        if found:
            del state.sites[found[0]]
        return {"changed": bool(found)}
    changed = found is None
    if found is None:
        if not params["physical_path"]:
            raise ModuleFailure("missing required arguments: physical_path")
        _folder(machine, params["physical_path"])
        if machine.check:
            return {"changed": True}
        site_id = int(params["site_id"] or _new_site_id(state.sites.values()))
        state.sites[name] = Site(site_id=site_id, physical_path=params["physical_path"])
    site = state.sites[found[0] if found else name]
    if (
        params["physical_path"]
        and site.physical_path.lower() != _folder(machine, params["physical_path"]).lower()
    ):
        site.physical_path, changed = params["physical_path"], True
    if params["application_pool"] and site.application_pool.lower() != params["application_pool"].lower():
        if find_pool(machine, params["application_pool"]) is None:
            # IIS itself accepts the name and then answers 503; nobody wants that from a role.
            raise NotModelled(
                f"a site in an application pool that does not exist ({params['application_pool']!r})"
            )
        site.application_pool, changed = params["application_pool"], True
    changed = _bind(machine, site, params["bindings"]) or changed
    if wanted_state in ("started", "stopped") and site.state != wanted_state:
        site.state, changed = wanted_state, True
    return {"changed": changed or wanted_state == "restarted"}


def website_info(machine: Machine, params: Params) -> Result:
    require_administration(machine)
    found = (
        [find_site(machine.state, params["name"])] if params["name"] else list(machine.state.sites.items())
    )
    described = [
        {
            "name": entry[0],
            "site_id": entry[1].site_id,
            "state": entry[1].state.title(),
            "physical_path": entry[1].physical_path,
            "application_pool": entry[1].application_pool,
            "bindings": [
                {
                    "ip": b.ip,
                    "port": b.port,
                    "hostname": b.hostname,
                    "protocol": b.protocol,
                    "use_ccs": False,
                    "use_sni": b.use_sni,
                    "certificate_hash": b.certificate_hash or "",
                    "certificate_store_name": b.certificate_store_name or "",
                }
                for b in entry[1].bindings
            ],
        }
        for entry in found
        if entry
    ]
    return {"changed": False, "exists": bool(described), "site": described}


MODULES = {
    "microsoft.iis.website": Module(
        website,
        {
            "name": Option(required=True),
            "state": Option(default="started", choices=("absent", "restarted", "started", "stopped")),
            "site_id": Option(),
            "application_pool": Option(),
            "physical_path": Option("path"),
            "bindings": Option("dict", {}),
        },
    ),
    "microsoft.iis.website_info": Module(website_info, {"name": Option()}),
}
