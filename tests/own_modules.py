"""The project's own Ansible code outside of Ansible, which gives it its names only when it ships it to a host."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

PLUGINS = Path(__file__).resolve().parents[1] / "ansible" / "plugins"


def load(name: str, file: Path) -> ModuleType:
    """The code in `file`, under the module name that Ansible gives it."""
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def module_utils(name: str) -> ModuleType:
    """One of ansible/plugins/module_utils."""
    return load(f"ansible.module_utils.{name}", PLUGINS / "module_utils" / f"{name}.py")
