"""extra_model_paths.yaml, in the two-level form that ComfyUI documents.

The tree depends on aiohttp and Pillow only, so this reads the one form such a file has: sections of
`key: value` lines, where a value may be a `|` block with one path per line. Anything else is an error that
names the line.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ExtraPath:
    kind: str
    path: Path
    first: bool


class ExtraPathsError(ValueError):
    """The file is not in the form that is read here; the message gives the line."""


def read_extra_paths(file: Path) -> list[ExtraPath]:
    found: list[ExtraPath] = []
    for section in _sections(file).values():
        base = section.pop("base_path", None)
        first = section.pop("is_default", "false").lower() == "true"
        root = Path(os.path.expandvars(base)).expanduser() if base else file.parent
        if not root.is_absolute():
            root = file.parent / root
        for kind, value in section.items():
            for line in value.split("\n"):
                if line.strip():
                    found.append(
                        ExtraPath(kind, Path(os.path.normpath((root / line.strip()).absolute())), first)
                    )
    return found


def _sections(file: Path) -> dict[str, dict[str, str]]:
    sections: dict[str, dict[str, str]] = {}
    current: dict[str, str] | None = None
    block: str | None = None
    block_indent = 0
    for number, raw in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        line = raw.split(" #")[0].rstrip()
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        indent = len(line) - len(line.lstrip())
        if block is not None and current is not None and indent > block_indent:
            current[block] += line.strip() + "\n"
            continue
        block = None
        key, colon, value = line.strip().partition(":")
        value = value.strip().strip("'\"")
        if not colon or value.startswith(("[", "{", "&", "*", ">")) or key.startswith("-"):
            raise ExtraPathsError(f"simulator: {file} line {number}: expected `key: value`, found {raw!r}")
        if indent == 0:
            if value:
                raise ExtraPathsError(f"simulator: {file} line {number}: expected a section, found {raw!r}")
            current = sections.setdefault(key, {})
        elif current is None:
            raise ExtraPathsError(f"simulator: {file} line {number}: {raw!r} stands in no section")
        elif value == "|":
            current[key] = ""
            block, block_indent = key, indent
        else:
            current[key] = value
    return sections
