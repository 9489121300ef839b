"""Which PowerShell scripts are known: SHA-256 of the text, to the model of exactly that text.

Changing a script makes it unknown on purpose. `python3 -m tests.lab.windows_host.winsim.scripts` prints the
sums of the scripts in the repository.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import iis_backup_models as backups
from . import iis_script_models as iis
from . import script_models as models
from . import wsl_provision_models as making
from . import wsl_script_models as wsl
from .environment import expand
from .scheduler import Launch, Ran, program
from .script_models import ScriptError, ScriptRun

__all__ = ["SCRIPTS", "TASK_SCRIPTS", "Script", "ScriptError", "ScriptRun", "TaskScript"]

log = logging.getLogger("winsim.scripts")


@dataclass(frozen=True)
class Script:
    """`path` is where the text lives in the repository."""

    path: str
    run: Callable[[ScriptRun, dict[str, Any]], None]
    parameters: tuple[str, ...]

    @property
    def mandatory(self) -> tuple[str, ...]:
        # All of our scripts take only mandatory parameters.
        return self.parameters


@dataclass(frozen=True)
class TaskScript:
    """A script that Task Scheduler runs. All of its parameters are mandatory."""

    path: str
    run: Callable[[Launch, dict[str, str]], Ran]
    parameters: tuple[str, ...]


SCRIPTS: dict[str, Script] = {
    "7c126debdac22a8b567fbac0ea45f41c2752941781e3e9d26765ff2f8a80906f": Script(
        "iis/powershell/Set-ServerSetting.ps1",
        iis.set_server_setting,
        ("Settings",),
    ),
    "a3cbe6e968d99e95394bb09781ceab5d81e2779a097f7c4cc87116cc1197eeb2": Script(
        "iis/powershell/Add-AllowedServerVariable.ps1",
        iis.add_allowed_server_variable,
        ("Names",),
    ),
    "6c55a7d23d199bdce34b3f3a876facfc9213e1fb9a78497b8da06a77cb2e91c4": Script(
        "iis/powershell/Remove-SiteLogField.ps1",
        iis.remove_site_log_field,
        ("Sites", "Fields"),
    ),
    "7f72c00d8e62f8f4fa2f9e18fac053c879aec015d141a41d5dbdd3b48f6d0b2d": Script(
        "iis/powershell/Backup-Gateway.ps1",
        backups.backup_gateway,
        ("SitesRoot", "Store"),
    ),
    "6ead9bd281c9fc5d3311c14c03350191075fb87a6f86c5ba1d01c79c19deb890": Script(
        "iis/powershell/Restore-Gateway.ps1",
        backups.restore_gateway,
        ("Name", "SitesRoot", "Store", "Sites", "Others"),
    ),
    "f928a21985b1da9f1b9fe85c586e45e15d08ec232908c377110bacfd651b71a9": Script(
        "iis/powershell/Remove-Leftover.ps1",
        models.remove_leftover,
        ("Prefix", "PrefixUnlessEmpty"),
    ),
    "55fe734f369e9de4b3f65f919c86468ef72f731f636222090debb870f0437913": Script(
        "iis/powershell/Get-AcmeRenewal.ps1",
        iis.get_acme_renewal,
        ("Folder", "TaskName"),
    ),
    "409559e69bc19a0f91f18fe75718b7384b437352c47da9f4e4a039e22f7c6d07": Script(
        "roles/wsl_host/files/Get-WslGuest.ps1",
        wsl.get_wsl_guest,
        ("Distribution",),
    ),
    "2510682b65d38300d69bc59fcb0bc264cbad48443f79ee25b4c943601594130d": Script(
        "roles/wsl_host/files/Get-DisplayDriver.ps1",
        wsl.get_display_driver,
        (),
    ),
    "2bd5716abc33473e69a0ab7dc89efbfbff6880b34fa8a61314e620dfa9a69062": Script(
        "roles/wsl_host/files/Restart-Wsl.ps1",
        wsl.restart_wsl,
        ("TaskPath", "TaskName"),
    ),
    "514a60409cd942231bb2d6b62ff72f4f23918c1bbd03e6c8da9b3a66044b084a": Script(
        "roles/wsl_host/files/Get-WslPlatform.ps1",
        making.get_wsl_platform,
        (),
    ),
    "5e873a666ac675cea433b003b462595cfd05e654241be74ce403bd87de262e6f": Script(
        "roles/wsl_host/files/Import-WslGuest.ps1",
        making.import_wsl_guest,
        ("Distribution", "Folder", "RootFs"),
    ),
    "14e589b936267a71fe5d494e538a0ac6f7695af6cc2e3d60f7107711e1cce0e5": Script(
        "roles/wsl_host/files/Initialize-WslGuest.ps1",
        making.initialize_wsl_guest,
        ("Distribution", "Script", "User", "Key"),
    ),
    "8bfcaaeae89d254e23f67d9c2e7944e39cceb079777d70be00cb84b1fe91ea8d": Script(
        "roles/wsl_host/files/Set-IniValue.ps1",
        wsl.set_ini_value,
        ("Path", "Settings"),
    ),
    "7968f4a63950f5b9c194d614a2a59e21219f8c0dda1c22ff1e241d2c770c9d2b": Script(
        "roles/wsl_host/files/Set-PortProxy.ps1",
        wsl.set_port_proxy,
        ("ListenAddress", "ListenPort", "ConnectAddress", "ConnectPort"),
    ),
}

TASK_SCRIPTS: dict[str, TaskScript] = {
    "d3041960220e67dbe16fc9f77496d3b780b139c51389248b57a0eaa33cec28e7": TaskScript(
        "roles/wsl_host/files/Watch-Guest.ps1",
        wsl.watch_guest,
        ("Distribution", "Forward", "ProbeUrl", "Journal"),
    ),
    "50e40034be0938ec43bfe1e9c003ba21f303cdebfe30df1f531d37992f86b22b": TaskScript(
        "roles/wsl_host/files/Restart-Guest.ps1",
        wsl.restart_guest,
        ("TaskPath", "TaskName", "Journal"),
    ),
}

_NO_FILE = 0xFFFD0000  # what powershell.exe ends with when there is no such file
_HOW = ["-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-File"]


@program("powershell.exe")
def run_script(launch: Launch) -> Ran:
    """`powershell.exe … -File FILE -Name VALUE …`, for a file whose very text is known."""
    words = launch.arguments
    if words[: len(_HOW)] != _HOW or len(words) < len(_HOW) + 1 or len(words) % 2:
        log.error("The Windows simulator does not model the task `powershell.exe %s`", " ".join(words))
        return Ran(1)
    file = launch.store.path(expand(words[len(_HOW)], launch.user))
    if not file.is_file():
        log.error("powershell.exe: the file %s does not exist", words[len(_HOW)])
        return Ran(_NO_FILE)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    script = TASK_SCRIPTS.get(digest)
    if script is None:
        log.error("The Windows simulator does not know the script %s with SHA-256 %s", file.name, digest)
        return Ran(1)
    rest = words[len(_HOW) + 1 :]
    parameters = dict(zip((name.removeprefix("-") for name in rest[::2]), rest[1::2], strict=True))
    if sorted(parameters) != sorted(script.parameters):
        log.error("%s takes %s and was given %s", script.path, script.parameters, tuple(parameters))
        return Ran(1)
    return script.run(launch, parameters)


if __name__ == "__main__":
    repository = Path(__file__).parents[4]
    paths = [script.path for script in SCRIPTS.values()] + [script.path for script in TASK_SCRIPTS.values()]
    for path in paths:
        print(hashlib.sha256((repository / path).read_bytes()).hexdigest(), path)
