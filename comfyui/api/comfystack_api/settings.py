"""What the deployment sets, read once from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PREFIX = "API_"


@dataclass(frozen=True)
class Settings:
    """Places and limits of one service."""

    comfyui_url: str
    # Written by the deployment and only read here.
    tokens_file: Path
    # Ours: tokens that were made at run time, sessions, whose job is whose.
    state_dir: Path
    session_seconds: int = 12 * 3600
    guesses_per_minute: int = 10
    port: int = 8190


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Settings from variables with PREFIX; a missing or unreadable one is a SystemExit that names it."""

    def number(name: str, default: int) -> int:
        text = environment.get(PREFIX + name, str(default))
        if not text.isascii() or not text.isdigit():
            raise SystemExit(f"found: {PREFIX}{name} is {text!r}; expected: a whole number")
        return int(text)

    try:
        return Settings(
            comfyui_url=environment[PREFIX + "COMFYUI_URL"],
            tokens_file=Path(environment[PREFIX + "TOKENS_FILE"]),
            state_dir=Path(environment[PREFIX + "STATE_DIR"]),
            session_seconds=number("SESSION_SECONDS", Settings.session_seconds),
            guesses_per_minute=number("GUESSES_PER_MINUTE", Settings.guesses_per_minute),
            port=number("PORT", Settings.port),
        )
    except KeyError as missing:
        raise SystemExit(f"found: no variable {missing.args[0]}; expected: it in the Compose file") from None
