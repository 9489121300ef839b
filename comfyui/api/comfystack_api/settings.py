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
    # ComfyUI's input/api and output/api, for pictures of /v1/images.
    incoming_dir: Path = Path("/srv/comfyui/input")
    outgoing_dir: Path = Path("/srv/comfyui/output")
    # How long a link to a picture leads there.
    results_seconds: int = 3600
    # How long one picture may take, the queue in front of it included.
    job_seconds: int = 1800
    upload_bytes: int = 100 * 1024 * 1024
    image_pixels: int = 40_000_000
    requests_per_minute: int = 60
    concurrent_requests: int = 4
    # Jobs in ComfyUI's queue, the running one among them, beyond which /readyz says no.
    ready_queue: int = 10
    port: int = 8190


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Settings from variables with PREFIX; a missing or unreadable one is a SystemExit that names it."""

    def number(name: str, default: int) -> int:
        text = environment.get(PREFIX + name, str(default))
        if not text.isascii() or not text.isdigit():
            raise SystemExit(f"found: {PREFIX}{name} is {text!r}; expected: a whole number")
        return int(text)

    def folder(name: str, default: Path) -> Path:
        return Path(environment.get(PREFIX + name, str(default)))

    try:
        return Settings(
            comfyui_url=environment[PREFIX + "COMFYUI_URL"],
            tokens_file=Path(environment[PREFIX + "TOKENS_FILE"]),
            state_dir=Path(environment[PREFIX + "STATE_DIR"]),
            session_seconds=number("SESSION_SECONDS", Settings.session_seconds),
            guesses_per_minute=number("GUESSES_PER_MINUTE", Settings.guesses_per_minute),
            incoming_dir=folder("INCOMING_DIR", Settings.incoming_dir),
            outgoing_dir=folder("OUTGOING_DIR", Settings.outgoing_dir),
            results_seconds=number("RESULTS_SECONDS", Settings.results_seconds),
            job_seconds=number("JOB_SECONDS", Settings.job_seconds),
            upload_bytes=number("UPLOAD_BYTES", Settings.upload_bytes),
            image_pixels=number("IMAGE_PIXELS", Settings.image_pixels),
            requests_per_minute=number("REQUESTS_PER_MINUTE", Settings.requests_per_minute),
            concurrent_requests=number("CONCURRENT_REQUESTS", Settings.concurrent_requests),
            ready_queue=number("READY_QUEUE", Settings.ready_queue),
            port=number("PORT", Settings.port),
        )
    except KeyError as missing:
        raise SystemExit(f"found: no variable {missing.args[0]}; expected: it in the Compose file") from None
