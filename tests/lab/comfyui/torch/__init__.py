"""The few names of torch that a self-check uses, answered by the simulated NVIDIA driver.

It stands in the tree's root, which is the working directory, so `python -c "import torch"` finds it there
just as it finds the real package in the real image. Any other name of torch is an error that says so.
"""

from __future__ import annotations

from . import cuda, version
from .version import __version__

__all__ = ["__version__", "cuda", "version"]


def __getattr__(name: str) -> object:
    if name.startswith("__"):
        raise AttributeError(name)
    raise AttributeError(f"simulator: torch.{name} is not modelled")
