"""`python -m comfystack`."""

from .cli import entry

entry()
