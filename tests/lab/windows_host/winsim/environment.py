"""The environment variables of a Windows logon, as far as paths need them."""

from __future__ import annotations

import re

from .machine import HOST_NAME


def profile(user: str) -> str:
    """The user's profile folder."""
    return rf"C:\Users\{user}"


def variables(user: str) -> dict[str, str]:
    """The variables of `user`'s logon, named as Windows shows them."""
    home = profile(user)
    return {
        "ALLUSERSPROFILE": r"C:\ProgramData",
        "APPDATA": rf"{home}\AppData\Roaming",
        "COMPUTERNAME": HOST_NAME,
        "LOCALAPPDATA": rf"{home}\AppData\Local",
        "OS": "Windows_NT",
        "PROCESSOR_ARCHITECTURE": "AMD64",
        "ProgramData": r"C:\ProgramData",
        "ProgramFiles": r"C:\Program Files",
        "SystemDrive": "C:",
        "SystemRoot": r"C:\Windows",
        "TEMP": rf"{home}\AppData\Local\Temp",
        "TMP": rf"{home}\AppData\Local\Temp",
        "USERNAME": user,
        "USERPROFILE": home,
        "windir": r"C:\Windows",
    }


def expand(text: str, user: str) -> str:
    """`%NAME%` replaced as Windows does: without regard to case, unknown names left as they are."""
    known = {name.lower(): value for name, value in variables(user).items()}
    return re.sub(r"%([^%]+)%", lambda found: known.get(found.group(1).lower(), found.group(0)), text)
