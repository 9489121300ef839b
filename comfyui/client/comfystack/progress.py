"""How far a job is, for people: a bar on a terminal, a line per stage elsewhere (logs, pipes)."""

from __future__ import annotations

from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from .events import Progress

# What the nodes of the packaged workflows do, as the person waiting sees it.
_STAGES = {
    "UNETLoader": "Loading the model",
    "CLIPLoader": "Loading the text encoder",
    "VAELoader": "Loading the VAE",
    "LoraLoaderModelOnly": "Loading Lightning",
    "LoadImage": "Reading the images",
    "FluxKontextImageScale": "Reading the images",
    "TextEncodeQwenImageEditPlus": "Understanding the prompt",
    "VAEEncode": "Encoding",
    "KSampler": "Sampling",
    "VAEDecode": "Decoding",
    "SaveImage": "Saving",
}


def describe(progress: Progress) -> str:
    """The stage a job is in, without the count."""
    if progress.state == "finished":
        return "Finished"
    if progress.state == "queued":
        return f"Queued behind {progress.ahead}" if progress.ahead else "Queued"
    return _STAGES.get(progress.class_type, progress.class_type or "Running")


class ProgressDisplay:
    """Context manager; call `show` with each Progress."""

    def __init__(self, stream: TextIO, quiet: bool = False) -> None:
        self._stream = stream
        self._last = ""
        # Which of several jobs this is, in front of its stage.
        self.prefix = ""
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(file=stream),
            transient=True,
        )
        self._quiet = quiet
        self._live = stream.isatty() and not quiet
        self._task = self._bar.add_task("Sending", total=None)

    def __enter__(self) -> Self:
        if self._live:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._bar.stop()

    def show(self, progress: Progress) -> None:
        """Bring the bar (or the log) up to date."""
        if self._quiet:
            return
        stage = self.prefix + describe(progress)
        counting = progress.state == "running" and progress.steps > 1
        if self._live:
            self._bar.update(
                self._task,
                description=stage,
                # A node without steps of its own: the graph's nodes are what can be counted.
                completed=progress.step if counting else progress.nodes_done,
                total=progress.steps if counting else progress.nodes_total or None,
            )
            return
        # In a log, each job of several once; of one job, each stage once and each quarter of a long one.
        if self.prefix and progress.state != "finished":
            return
        quarter = progress.step * 4 // progress.steps if counting else 0
        line = f"{stage} {progress.step}/{progress.steps}" if quarter else stage
        if f"{stage} {quarter}" != self._last:
            self._last = f"{stage} {quarter}"
            print(line, file=self._stream, flush=True)
