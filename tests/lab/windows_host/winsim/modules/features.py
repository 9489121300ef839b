"""win_feature of Windows Server and win_optional_feature (DISM): IIS with the parents of each feature, and WSL."""

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
# DISM's, which ask for a reboot and are there after it.
_AFTER_A_BOOT = ("Microsoft-Windows-Subsystem-Linux", "VirtualMachinePlatform")
# DISM's names of the same parts of IIS, which Windows 11 has alone. The machine remembers each part by its other name.
_DISM = {
    "IIS-WebServerRole": "Web-Server",
    "IIS-WebServer": "Web-WebServer",
    "IIS-CommonHttpFeatures": "Web-Common-Http",
    "IIS-DefaultDocument": "Web-Default-Doc",
    "IIS-DirectoryBrowsing": "Web-Dir-Browsing",
    "IIS-HttpErrors": "Web-Http-Errors",
    "IIS-StaticContent": "Web-Static-Content",
    "IIS-HttpRedirect": "Web-Http-Redirect",
    "IIS-HealthAndDiagnostics": "Web-Health",
    "IIS-HttpLogging": "Web-Http-Logging",
    "IIS-Performance": "Web-Performance",
    "IIS-HttpCompressionStatic": "Web-Stat-Compression",
    "IIS-Security": "Web-Security",
    "IIS-RequestFiltering": "Web-Filtering",
    "IIS-ApplicationDevelopment": "Web-App-Dev",
    "IIS-WebSockets": "Web-WebSockets",
    "IIS-WebServerManagementTools": "Web-Mgmt-Tools",
    "IIS-ManagementConsole": "Web-Mgmt-Console",
    "IIS-ManagementScriptingTools": "Web-Scripting-Tools",
}
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
    """DISM's features. As the real module, it reports a reboot only in the run that asked for the feature."""
    state = machine.state
    known = {name.lower(): name for name in (*_AFTER_A_BOOT, *_DISM)}
    asked = [known.get(str(name).lower(), "") for name in params["name"]]
    if "" in asked:
        raise NotModelled(f"the optional feature {params['name'][asked.index('')]!r}")
    new = [
        name for name in asked if not (name in state.features_pending or state.features.get(_memory(name)))
    ]
    for name in new:
        if name in _AFTER_A_BOOT:
            state.features_pending.append(name)
            continue
        chain = _with_parents(_DISM[name])
        if not params["include_parent"] and not all(state.features.get(parent) for parent in chain[:-1]):
            raise ModuleFailure(
                "One or several parent features are disabled so current feature can not be enabled."
            )
        fresh = not state.features.get("Web-Server")
        state.features.update(dict.fromkeys(chain, True))
        if fresh:
            _first_iis(machine)
    return {"changed": bool(new), "reboot_required": any(name in _AFTER_A_BOOT for name in new)}


def _memory(name: str) -> str:
    return _DISM.get(name, name)


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
