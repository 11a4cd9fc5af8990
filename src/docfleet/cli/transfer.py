"""How far a submission is: a bar on a terminal, plain lines when piped, nothing when quiet."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskProgressColumn, TextColumn
from rich.text import Text

_LINE_SECONDS = 10.0


class Transfer:
    """Safe for several threads. `sent` counts bytes, `accepted` and `finished` documents."""

    def __init__(self, console: Console, documents: int, size_bytes: int, *, silent: bool, wait: bool) -> None:
        self._console = console
        self._documents = documents
        self._size = size_bytes
        self._silent = silent
        self._lock = threading.Lock()
        self._sent = self._accepted = self._finished = 0
        self._last = time.monotonic()
        self._bar = None if silent or not console.is_terminal else Progress(
            TextColumn("[bold]{task.description}"), BarColumn(bar_width=None), TaskProgressColumn(),
            TextColumn("{task.fields[documents]}"), DownloadColumn(), console=console, transient=True,
        )  # fmt: skip
        self._read_bar = None
        if self._bar is not None:
            self._upload = self._bar.add_task("sent", total=size_bytes, documents="")
            if wait:
                self._read_bar = self._bar.add_task("read", total=documents, documents="", visible=False)

    def sent(self, size: int) -> None:
        with self._lock:
            self._sent += size
            self._show()

    def accepted(self, *, skipped_bytes: int = 0) -> None:
        with self._lock:
            self._accepted += 1
            self._sent += skipped_bytes
            self._show()

    def finished(self) -> None:
        with self._lock:
            self._finished += 1
            self._show()

    def _show(self) -> None:
        if self._bar is not None:
            self._bar.update(
                self._upload, completed=self._sent, documents=f"{self._accepted}/{self._documents} documents"
            )
            if self._read_bar is not None:
                self._bar.update(
                    self._read_bar, completed=self._finished, visible=True,
                    documents=f"{self._finished}/{self._documents} documents",
                )  # fmt: skip
        elif not self._silent and time.monotonic() - self._last >= _LINE_SECONDS:
            self._last = time.monotonic()
            said = f"{self._accepted}/{self._documents} sent, {self._finished}/{self._documents} read"
            self._console.print(Text(said), soft_wrap=True)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
