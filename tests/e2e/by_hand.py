"""What somebody does to the Docker host by hand, and what verify says of it."""

from __future__ import annotations

import re
import shlex

from .running import Done
from .site import Lab

COMFYUI = "/opt/comfystack/comfyui-qwen/compose.yml"


def turns_red(done: Done, *words: str) -> None:
    """Verify ended with failed tests, and its report has these words."""
    assert done.code == 1, done
    assert re.search(r"\d+ failed", done.output), done
    missing = [word for word in words if word not in done.output]
    assert not missing, f"verify is red, but says nothing of {missing}: {done}"


def edit_comfyui(lab: Lab, title: str, *edits: str) -> None:
    """Somebody edits the Compose file by hand and brings the service up; how it takes it is not asked."""
    sed = " ".join(f"-e {shlex.quote(edit)}" for edit in edits)
    up = f"docker compose -f {COMFYUI} up -d --wait --wait-timeout 10"
    lab.guest(title, f"cp {COMFYUI} {COMFYUI}.before; sed -i {sed} {COMFYUI}; {up} || true")


def undo_comfyui(lab: Lab, title: str) -> None:
    lab.guest(title, f"mv {COMFYUI}.before {COMFYUI}; docker compose -f {COMFYUI} up -d --wait")
