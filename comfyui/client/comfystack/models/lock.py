"""The models lock: which file belongs where, and what it has to be. Whatever is odd in it is refused as a whole."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import yaml

from ..errors import InputError, printable

# One step of a path: no separator, and neither "." nor ".." nor hidden.
_STEP = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9._+ -]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
# Formats of plain numbers. Everything else that holds weights is a pickle, which runs code when it is loaded.
FORMATS = (".safetensors", ".gguf")
# The one in C reads a lock in a tenth of the time; a run with nothing to do consists of that.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Entry:
    """One file. `bytes` and `sha256` are None where nobody has recorded them yet."""

    key: str
    name: str
    folder: str
    source: str
    revision: str
    path: str
    bytes: int | None
    sha256: str | None
    licence: str
    verified: str | None

    @property
    def place(self) -> str:
        """Where it stands below the models folder."""
        return f"{self.folder}/{self.name}"

    def url(self, mirror: str | None = None) -> str:
        """Its address at the source, or below `mirror`, which is laid out as the source's host."""
        base = mirror.rstrip("/") + urlsplit(self.source).path if mirror else self.source
        return f"{base}/resolve/{quote(self.revision, safe='')}/{quote(self.path)}"


@dataclass(frozen=True)
class Known(Entry):
    """An entry whose size and hash are recorded: one that may be fetched."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Lock:
    """Sets by name, and entries by key."""

    file: Path
    sets: Mapping[str, tuple[str, ...]]
    entries: Mapping[str, Entry]

    def chosen(self, sets: Iterable[str]) -> list[Entry]:
        """The entries of these sets, each once, in the lock's order of the sets."""
        keys: dict[str, None] = {}
        for name in sets:
            if name not in self.sets:
                raise InputError(
                    f"the models lock has no set {name!r}",
                    f"one of {', '.join(self.sets)}",
                    "name one of them",
                )
            keys.update(dict.fromkeys(self.sets[name]))
        return [self.entries[key] for key in keys]

    def recorded(self, sets: Iterable[str]) -> list[Known]:
        """The same; refused while one of them has no recorded hash."""
        entries = self.chosen(sets)
        unknown = [entry for entry in entries if entry.sha256 is None or entry.bytes is None]
        if unknown:
            raise InputError(
                f"no size and no hash of {', '.join(entry.name for entry in unknown)} in {self.file}",
                "both, as somebody who trusts the file recorded them",
                f"get the file, then: comfystack models record {unknown[0].key} --file FILE; or choose another set",
            )
        return [Known(**vars(entry)) for entry in entries]


def read(file: Path) -> Lock:
    """InputError where the file is no models lock, or one that must not be followed."""
    try:
        document = yaml.load(file.read_text(encoding="utf-8"), _LOADER)  # noqa: S506 - both are the safe one
        entries = {str(key): _entry(str(key), value) for key, value in document["files"].items()}
        sets = {str(name): tuple(keys) for name, keys in document["sets"].items()}
        for name, keys in sets.items():
            for key in keys:
                if key not in entries:
                    raise ValueError(f"set {name} names {key!r}, which is no file of it")
        places = [entry.place for entry in entries.values()]
        for place in places:
            if places.count(place) > 1:
                raise ValueError(f"{place} stands in it twice")
    except OSError as error:
        raise InputError(
            f"the models lock {file} cannot be read: {error.strerror}", "a file", "name it with --lock"
        ) from None
    except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"{type(error).__name__} {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(
            f"{file} is no models lock that can be followed: {printable(what, 300)}",
            "sets and files as comfyui/models.lock.yml has them",
            "correct it; nothing was fetched",
        ) from None
    return Lock(file, sets, entries)


def _entry(key: str, value: Mapping[str, Any]) -> Entry:
    texts = {name: value[name] for name in ("name", "folder", "source", "revision", "path", "licence")}
    for name, text in texts.items():
        if not isinstance(text, str) or not text.isprintable() or not text:
            raise ValueError(f"{key}: {name} is no text")
    for name in ("name", "folder", "path"):
        steps = texts[name].split("/") if name != "name" else [texts[name]]
        if not all(_STEP.fullmatch(step) for step in steps):
            raise ValueError(f"{key}: {name} {texts[name]!r} leads out of its folder or is no plain name")
    if not texts["name"].endswith(FORMATS):
        raise ValueError(
            f"{key}: {texts['name']} is none of {', '.join(FORMATS)}; a pickle (.ckpt, .pt, .pth, .bin) runs code "
            "when it is loaded"
        )
    address = urlsplit(texts["source"])
    if address.scheme not in ("http", "https") or not address.hostname or address.username:
        raise ValueError(f"{key}: source {texts['source']!r} is no http or https address")
    size, digest = value["bytes"], value["sha256"]
    if (size is None) != (digest is None):
        raise ValueError(f"{key}: bytes and sha256 are recorded together or not at all")
    if size is not None and (not isinstance(size, int) or size < 1):
        raise ValueError(f"{key}: bytes {size!r} is no size")
    if digest is not None and not (isinstance(digest, str) and _SHA256.fullmatch(digest)):
        raise ValueError(f"{key}: sha256 {digest!r} is no SHA-256 in lower-case hexadecimal")
    return Entry(key, bytes=size, sha256=digest, verified=value.get("verified"), **texts)
