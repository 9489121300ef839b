"""win_feature: the Windows features of the IIS family, with the parents each one brings along."""

from __future__ import annotations

from ..state import State
from .contract import Machine, Module, ModuleFailure, NotModelled, Option, Params, Result

# name -> (display name, parent). The names and the tree are those of Get-WindowsFeature on Server 2022.
_FEATURES: dict[str, tuple[str, str | None]] = {
    "Web-Server": ("Web Server (IIS)", None),
    "Web-WebServer": ("Web Server", "Web-Server"),
    "Web-Common-Http": ("Common HTTP Features", "Web-WebServer"),
    "Web-Default-Doc": ("Default Document", "Web-Common-Http"),
    "Web-Dir-Browsing": ("Directory Browsing", "Web-Common-Http"),
    "Web-Http-Errors": ("HTTP Errors", "Web-Common-Http"),
    "Web-Static-Content": ("Static Content", "Web-Common-Http"),
    "Web-Http-Redirect": ("HTTP Redirection", "Web-Common-Http"),
    "Web-Health": ("Health and Diagnostics", "Web-WebServer"),
    "Web-Http-Logging": ("HTTP Logging", "Web-Health"),
    "Web-Performance": ("Performance", "Web-WebServer"),
    "Web-Stat-Compression": ("Static Content Compression", "Web-Performance"),
    "Web-Security": ("Security", "Web-WebServer"),
    "Web-Filtering": ("Request Filtering", "Web-Security"),
    "Web-App-Dev": ("Application Development", "Web-WebServer"),
    "Web-WebSockets": ("WebSocket Protocol", "Web-App-Dev"),
    "Web-Mgmt-Tools": ("Management Tools", "Web-Server"),
    "Web-Mgmt-Console": ("IIS Management Console", "Web-Mgmt-Tools"),
    "Web-Scripting-Tools": ("IIS Management Scripts and Tools", "Web-Mgmt-Tools"),
}
# win_optional_feature's, each of which asks for a reboot.
_OPTIONAL = ("Microsoft-Windows-Subsystem-Linux", "VirtualMachinePlatform")
# What "install Web-Server" selects by itself.
_DEFAULTS = (
    "Web-Default-Doc",
    "Web-Dir-Browsing",
    "Web-Http-Errors",
    "Web-Static-Content",
    "Web-Http-Logging",
    "Web-Stat-Compression",
    "Web-Filtering",
)


def _with_parents(name: str) -> list[str]:
    chain: list[str] = []
    here: str | None = name
    while here:
        chain.insert(0, here)
        here = _FEATURES[here][1]
    return chain


def win_feature(machine: Machine, params: Params) -> Result:
    if machine.state.flavour != "server-2022":
        raise ModuleFailure(
            "This module requires the ServerManager PS module, which Windows 11 does not have."
        )
    wanted: list[str] = []
    for name in params["name"]:
        known = next((feature for feature in _FEATURES if feature.lower() == str(name).lower()), None)
        if known is None:
            raise NotModelled(f"the Windows feature {name!r}")
        wanted += _with_parents(known)
        if known == "Web-Server":
            wanted += [parent for default in _DEFAULTS for parent in _with_parents(default)]
            if params["include_management_tools"]:
                wanted += ["Web-Mgmt-Tools", "Web-Mgmt-Console"]
    installed = machine.state.features
    new = [name for name in dict.fromkeys(wanted) if not installed.get(name)]
    for name in new:
        installed[name] = True
    if "Web-Server" in new:
        _first_iis(machine)
    return {
        "changed": bool(new),
        "exitcode": "Success" if new else "NoChangeNeeded",
        "success": True,
        "failed": False,
        "reboot_required": False,
        "feature_result": [
            {
                "id": index,
                "display_name": _FEATURES[name][0],
                "message": [],
                "reboot_required": False,
                "skip_reason": "NotSkipped",
                "success": True,
            }
            for index, name in enumerate(new)
        ],
    }


def _first_iis(machine: Machine) -> None:
    """What setup leaves behind: the service, the default pool, the Default Web Site on port 80."""
    from ..state import AppPool, Binding, Site

    state = machine.state
    state.services["W3SVC"] = {
        "display_name": "World Wide Web Publishing Service",
        "state": "started",
        "start_mode": "auto",
    }
    state.app_pools.setdefault("DefaultAppPool", AppPool())
    state.sites.setdefault(
        "Default Web Site",
        Site(site_id=1, physical_path=r"C:\inetpub\wwwroot", bindings=[Binding("http", 80)]),
    )
    if not machine.check:
        folder = machine.path(r"C:\inetpub\wwwroot")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "iisstart.htm").write_text("<!DOCTYPE html><title>IIS Windows Server</title>\n")


def complete(state: State) -> None:
    """A boot completes the features that waited for it."""
    for name in state.features_pending:
        state.features[name] = True
    state.features_pending.clear()


def win_optional_feature(machine: Machine, params: Params) -> Result:
    """The features of DISM, which server and client share; those of WSL take effect with the next boot."""
    new = []
    for name in params["name"]:
        known = next((feature for feature in _OPTIONAL if feature.lower() == str(name).lower()), None)
        if known is None:
            raise NotModelled(f"the optional feature {name!r}")
        if not machine.state.features.get(known) and known not in machine.state.features_pending:
            new.append(known)
    machine.state.features_pending.extend(new)
    waiting = [name for name in params["name"] if name in machine.state.features_pending]
    return {"changed": bool(new), "reboot_required": bool(waiting)}


def require(machine: Machine, feature: str, what: str) -> None:
    """Fail as the real thing does where a part of IIS is missing."""
    if not machine.state.features.get(feature):
        raise ModuleFailure(f"{what} (the Windows feature {feature} is not installed)")


MODULES = {
    "ansible.windows.win_feature": Module(
        win_feature,
        {
            "name": Option("list", required=True),
            "state": Option(default="present", choices=("present", "absent"), modelled=("present",)),
            "include_management_tools": Option("bool", False),
            "include_sub_features": Option("bool", False, modelled=(False,)),
            "source": Option(modelled=()),
        },
    ),
    "ansible.windows.win_optional_feature": Module(
        win_optional_feature,
        {
            "name": Option("list", required=True),
            "state": Option(default="present", choices=("present", "absent"), modelled=("present",)),
            "include_parent": Option("bool", False),
            "source": Option(modelled=()),
        },
    ),
}
