"""Names of one lab: what keeps several labs apart on one machine."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from .console import LabError

ROOT = Path(__file__).resolve().parents[2]
LABEL = "comfystack.lab"
DOMAIN = "comfystack.test"
PUBLIC_NAME = f"qwen-image-edit.{DOMAIN}"
# The names whose services do not exist yet.
FORGE_NAMES = (f"stable-diffusion-webui-forge.{DOMAIN}", f"turbo.stable-diffusion-webui-forge.{DOMAIN}")
# A Docker name, a folder and part of a host name at once.
_VALID = re.compile(r"[a-z][a-z0-9-]{0,29}")


@dataclass(frozen=True)
class Names:
    """Everything that carries the lab's name."""

    lab: str

    @property
    def build(self) -> Path:
        """Folder of everything generated for this lab."""
        return ROOT / "build" / self.lab

    @property
    def network(self) -> str:
        """The lab's one Docker network."""
        return f"comfystack-{self.lab}"

    @property
    def labels(self) -> dict[str, str]:
        """The label by which every part of the lab is found again."""
        return {LABEL: self.lab}

    def container(self, part: str) -> str:
        """Docker name of a container; inside the lab's network it is called just `part`."""
        return f"comfystack-{self.lab}-{part}"

    def volume(self, purpose: str) -> str:
        """Docker name of a volume."""
        return f"comfystack-{self.lab}-{purpose}"

    def image(self, part: str) -> str:
        """Tag of an image built for this lab."""
        return f"comfystack-lab-{self.lab}/{part}:latest"


def from_environment() -> Names:
    """The lab that LAB_NAME names, `lab` by default. Raises LabError for a name Docker could not carry."""
    name = os.environ.get("LAB_NAME") or "lab"
    if not _VALID.fullmatch(name):
        raise LabError(
            found=f"LAB_NAME={name!r}",
            expected="a lower-case letter, then up to 29 lower-case letters, digits or hyphens",
            next_step="choose another name, for example LAB_NAME=lab2",
        )
    return Names(name)
