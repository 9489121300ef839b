"""How far a fetch is: a bar per file on a terminal, a line per tenth elsewhere (logs, pipes)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress


class Display(AbstractContextManager["Display"]):
    """Call `follow` for each stretch of work, and what it returns with the bytes done."""

    def __init__(self, stream: TextIO, quiet: bool = False) -> None:
        self._stream = stream
        self._quiet = quiet
        self._lock = threading.Lock()  # a hash runs beside the next file's transfer
        self._bars: Progress | None = None
        if stream.isatty() and not quiet:
            # Only here: a host that fetches without a terminal need not have it.
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

            columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
            self._bars = Progress(*columns, console=Console(file=stream), transient=True)

    def __enter__(self) -> Display:
        if self._bars:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars:
            self._bars.stop()

    def say(self, text: str) -> None:
        """One line that stays."""
        if self._quiet:
            return
        if self._bars:
            self._bars.console.print(text, highlight=False)
            return
        with self._lock:
            print(text, file=self._stream, flush=True)

    def follow(self, what: str, total: int) -> Callable[[int], None]:
        """A new bar; the returned function takes the bytes done of `total`."""
        if self._bars:
            bars = self._bars
            task = bars.add_task(what, total=total)
            return lambda done: bars.update(task, completed=done, visible=done < total)
        told = -1

        def tell(done: int) -> None:
            nonlocal told
            tenth = done * 10 // total
            if tenth > told:
                told = tenth
                self.say(f"{what}: {tenth * 10:3} % of {amount(total)}")

        return tell


def amount(size: float) -> str:
    """Bytes for people, in powers of ten as the sources give them."""
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.2f} GB"
