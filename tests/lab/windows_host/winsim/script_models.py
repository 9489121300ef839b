"""What each of our PowerShell scripts does to the machine, told in Python.

A model is correct for one text of its script only: scripts.py ties the two together.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, field
from pathlib import PureWindowsPath
from typing import TYPE_CHECKING, Any

from .applicationhost import (
    LOG_FIELDS,
    LOG_FIELDS_ATTRIBUTE,
    UnknownSetting,
    convert,
    read_setting,
    show,
)
from .environment import variables

if TYPE_CHECKING:
    from .modules.contract import Machine


class ScriptError(Exception):
    """The script throws; the text is what Ansible's user sees in error[0]."""


@dataclass
class ScriptRun:
    """One run, with the fields of PowerShell's `$Ansible` that our scripts set."""

    machine: Machine
    changed: bool = False
    result: dict[str, Any] = field(default_factory=dict)
    difference: dict[str, Any] = field(default_factory=dict)


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
            current = read_setting(machine, section, name)
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
            machine.state.server_config.setdefault(section, {})[name] = wanted
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
    name, unwanted = parameters["Site"], {field.lower() for field in parameters["Fields"]}
    if not re.fullmatch(r"[A-Za-z0-9. _-]+", name):
        raise ScriptError(
            f"Cannot validate argument on parameter 'Site': {name!r} does not match the pattern."
        )
    _require_web_administration(run.machine)
    # XPath compares names with regard to case.
    site = run.machine.state.sites.get(name)
    if site is None:
        raise ScriptError(f"IIS has no site '{name}'")
    logged = str(site.attributes.get(LOG_FIELDS_ATTRIBUTE, LOG_FIELDS)).split(",")
    wanted = [field for field in logged if field.lower() not in unwanted]
    if wanted != logged:
        site.attributes[LOG_FIELDS_ATTRIBUTE] = ",".join(wanted)
        run.changed = True
    run.difference = {"before": {"logged": logged}, "after": {"logged": wanted}}
    run.result = {"logged": wanted}


def remove_leftover(run: ScriptRun, parameters: dict[str, Any]) -> None:
    for name in ("Prefix", "PrefixUnlessEmpty"):
        if not re.fullmatch(r"[A-Za-z0-9.-]+", parameters[name]):
            raise ScriptError(
                f"Cannot validate argument on parameter '{name}': {parameters[name]!r} does not match the pattern."
            )
    ours, ansibles = parameters["Prefix"].lower(), parameters["PrefixUnlessEmpty"].lower()
    temp = run.machine.path("%TEMP%")
    shown = PureWindowsPath(variables(run.machine.user)["TEMP"])
    folders = sorted(path for path in temp.iterdir() if path.is_dir()) if temp.is_dir() else []
    left = [
        path
        for path in folders
        if (
            any(path.iterdir())
            if path.name.lower().startswith(ansibles)
            else path.name.lower().startswith(ours)
        )
    ]
    removed = [str(shown / path.name) for path in left]
    if not run.machine.check:
        for path in left:
            shutil.rmtree(path)
    run.changed = bool(removed)
    run.difference = {"before": {"folders": removed}, "after": {"folders": []}}
    run.result = {"removed": removed}
