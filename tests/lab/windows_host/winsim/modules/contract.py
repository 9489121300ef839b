"""What a module's model is given and what it may answer.

Arguments are checked before a model runs: an unknown argument, a wrong type, a value outside the choices
or one that the model does not act out, each ends the module with a message that names it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath
from typing import Any

from ..environment import expand
from ..state import State, Store

Result = dict[str, Any]


class ModuleFailure(Exception):
    """What the real module reports through FailJson; `details` are added to its result."""

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.details = details


class NotModelled(ModuleFailure):
    """Windows may well do it; this simulator does not act it out, and will not pretend."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"The Windows simulator does not model {what}. Add it under tests/lab/windows_host/winsim "
            "after reading what the real one does, or do not use it."
        )


@dataclass
class Machine:
    """The machine during one module: `state` is written back afterwards unless `check` is set."""

    store: Store
    state: State
    user: str
    check: bool
    diff: bool

    def path(self, windows_path: str) -> Path:
        """The real file behind a Windows path; a path that is not absolute fails the module."""
        try:
            return self.store.path(expand(windows_path, self.user))
        except ValueError as error:
            raise ModuleFailure(str(error)) from error


@dataclass(frozen=True)
class Option:
    """One argument. `modelled`, where given, are the only values the model acts out."""

    kind: str = "str"
    default: Any = None
    required: bool = False
    choices: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    modelled: tuple[Any, ...] | None = None


Params = dict[str, Any]
Model = Callable[[Machine, Params], Result]


@dataclass(frozen=True)
class Module:
    """A modelled module. `internal` are arguments that only its own action plugin sends.

    `lasting`: it takes its time, so that the machine must go on meanwhile, and edits the store by itself.
    """

    run: Model
    options: dict[str, Option]
    internal: dict[str, Option] = field(default_factory=dict)
    lasting: bool = False


_TRUE = ("y", "yes", "on", "1", "true", "t", "1.0")
_FALSE = ("n", "no", "off", "0", "false", "f", "0.0")


def _bool(value: Any) -> bool:
    text = str(value).lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(value)


def windows_path(value: Any) -> str:
    """A path as Windows shows it: back slashes, no trailing one (but for a drive's root)."""
    if not isinstance(value, str) or not value:
        raise ValueError(value)
    return str(PureWindowsPath(value))


def _convert(kind: str, value: Any, user: str) -> Any:
    if kind == "bool":
        return _bool(value)
    if kind == "int":
        return int(value)
    if kind == "list":
        if isinstance(value, list):
            return value
        if isinstance(value, dict):
            raise ValueError(value)
        return [part.strip() for part in str(value).split(",")]
    if kind == "dict":
        if not isinstance(value, dict):
            raise ValueError(value)
        return value
    if kind == "path":
        return windows_path(expand(value, user) if isinstance(value, str) else value)
    if kind == "raw":
        return value
    if isinstance(value, dict | list):
        raise ValueError(value)
    return str(value)


def read_params(name: str, options: dict[str, Option], given: dict[str, Any], user: str) -> Params:
    """The arguments of a module, converted and complete; raises ModuleFailure or NotModelled."""
    names = {alias.lower(): key for key, option in options.items() for alias in (key, *option.aliases)}
    params: Params = {}
    unknown = [key for key in given if key.lower() not in names]
    if unknown:
        raise ModuleFailure(
            f"Unsupported parameters for ({name}) module: {', '.join(sorted(unknown))}. "
            f"Supported parameters include: {', '.join(sorted(options))}"
        )
    for raw_key, value in given.items():
        key = names[raw_key.lower()]
        option = options[key]
        if value is None:
            continue
        try:
            params[key] = _convert(option.kind, value, user)
        except (ValueError, TypeError):
            raise ModuleFailure(
                f"argument for {key} is of type {type(value).__name__} and we were unable to "
                f"convert to {option.kind}: found {value!r}"
            ) from None
        if option.choices and params[key] not in option.choices:
            raise ModuleFailure(
                f"value of {key} must be one of: {', '.join(option.choices)}. Got no match for: {value}"
            )
        if option.modelled is not None and params[key] not in option.modelled:
            raise NotModelled(f"{name} with {key}={value!r}")
    missing = [
        key for key, option in options.items() if option.required and params.get(key) in (None, "", [])
    ]
    if missing:
        raise ModuleFailure(f"missing required arguments: {', '.join(sorted(missing))}")
    for key, option in options.items():
        if key not in params:
            expands = option.kind == "path" and option.default is not None
            params[key] = _convert("path", option.default, user) if expands else option.default
    return params
