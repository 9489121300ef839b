"""Starts the ComfyUI simulator with ComfyUI's command line: `python main.py --listen 0.0.0.0 --port 8188`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

# These are top-level modules only where this tree is the working directory, hence no static imports.
if __name__ == "__main__":
    import_module("comfysim.app").main(
        Path(__file__).resolve().parent,
        import_module("comfyui_version").__version__,
        import_module("torch.version").__version__,
    )
