"""`iis_refusals`: why a site's web.config, or the server settings beside it, must not be written.

`settings_of_sites`: one setting of a child of <site>, such as hsts, for each of several sites.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from comfystack import iis_lint


def iis_refusals(web_config: str, plan: Mapping[str, Any], encrypted: bool) -> list[str]:
    """One line for each thing that IIS would refuse or get wrong; empty where all is well."""
    return iis_lint.refusals(web_config, iis_lint.Plan(**plan), encrypted)


def settings_of_sites(names: Sequence[str], child: str, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What Set-ServerSetting.ps1 is given, for every one of `names`."""
    return [
        {
            "section": f"system.applicationHost/sites/site[@name='{name}']/{child}",
            "name": key,
            "value": value,
        }
        for name in names
        for key, value in settings.items()
    ]


class FilterModule:
    """What Ansible looks for in a file of filters."""

    def filters(self) -> dict[str, Callable[..., list[Any]]]:
        return {"iis_refusals": iis_refusals, "settings_of_sites": settings_of_sites}
