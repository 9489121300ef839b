"""What our PowerShell scripts for IIS do to the machine, told in Python (see script_models.py)."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from .applicationhost import (
    LOG_FIELDS,
    LOG_FIELDS_ATTRIBUTE,
    UnknownSetting,
    convert,
    read_setting,
    show,
    write_setting,
)
from .script_models import ScriptError, ScriptRun

if TYPE_CHECKING:
    from .modules.contract import Machine


def _require_web_administration(machine: Machine) -> None:
    if not machine.state.features.get("Web-Scripting-Tools"):
        raise ScriptError(
            "The specified module 'WebAdministration' was not loaded because no valid module file was found "
            "in any module directory."
        )


def set_server_setting(run: ScriptRun, parameters: dict[str, Any]) -> None:
    machine = run.machine
    _require_web_administration(machine)
    before, after = {}, {}
    for setting in parameters["Settings"]:
        section, name = setting["section"], setting["name"]
        try:
            current = read_setting(machine.state, machine.store, section, name)
            wanted = convert(section, name, setting["value"])
        except UnknownSetting as error:
            raise ScriptError(
                f"IIS knows no setting '{name}' in section '{section}': "
                f"is the module that brings it installed? ({error})"
            ) from error
        except ValueError as error:
            raise ScriptError(
                f"Cannot convert value {setting['value']!r} of '{section}/@{name}': {error}"
            ) from error
        # PowerShell's -eq compares strings without regard to case.
        if str(current).lower() != str(wanted).lower():
            before[f"{section}/@{name}"], after[f"{section}/@{name}"] = show(current), show(wanted)
            write_setting(machine.state, section, name, wanted)
    run.changed = bool(after)
    run.difference = {"before": before, "after": after}
    run.result = {"changed_settings": list(after)}


def add_allowed_server_variable(run: ScriptRun, parameters: dict[str, Any]) -> None:
    _require_web_administration(run.machine)
    allowed = run.machine.state.allowed_server_variables
    before = list(allowed)
    known = {name.lower() for name in allowed}
    missing = [name for name in parameters["Names"] if name.lower() not in known]
    allowed.extend(missing)
    run.changed = bool(missing)
    run.difference = {"before": {"allowed": before}, "after": {"allowed": list(allowed)}}
    run.result = {"added": missing}


def remove_site_log_field(run: ScriptRun, parameters: dict[str, Any]) -> None:
    names, unwanted = parameters["Sites"], {field.lower() for field in parameters["Fields"]}
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9. _-]+", name):
            raise ScriptError(
                f"Cannot validate argument on parameter 'Sites': {name!r} does not match the pattern."
            )
    _require_web_administration(run.machine)
    before, after = {}, {}
    for name in names:
        # XPath compares names with regard to case.
        site = run.machine.state.sites.get(name)
        if site is None:
            raise ScriptError(f"IIS has no site '{name}'")
        logged = str(site.attributes.get(LOG_FIELDS_ATTRIBUTE, LOG_FIELDS)).split(",")
        wanted = [field for field in logged if field.lower() not in unwanted]
        if wanted != logged:
            site.attributes[LOG_FIELDS_ATTRIBUTE] = ",".join(wanted)
            before[name], after[name] = logged, wanted
    run.changed = bool(after)
    run.difference = {"before": before, "after": after}
    run.result = {"changed_sites": list(after)}


def get_acme_renewal(run: ScriptRun, parameters: dict[str, Any]) -> None:
    renewed = []
    for file in sorted(run.machine.path(parameters["Folder"]).glob("*.renewal.json")):
        document = json.loads(file.read_text(encoding="utf-8-sig"))
        source = document["TargetPluginOptions"]
        orders = [o for r in document["History"] if r["Success"] for o in r["OrderResults"] if o["Success"]]
        thumbprint = orders[-1]["Thumbprint"] if orders else ""
        pairs = [(h, s) for h in source.get("IncludeHosts", ()) for s in source.get("IncludeSiteIds", ())]
        renewed += [f"{host}/{site}/{thumbprint}" for host, site in pairs]
    wanted = "\\" + parameters["TaskName"].lower()
    tasks = {path.lower(): task for path, task in run.machine.state.scheduled_tasks.items()}
    run.result = {"renewed": renewed, "task": bool(tasks.get(wanted, {}).get("enabled"))}
