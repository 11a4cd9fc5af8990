"""How far a run is: a bar on a terminal, plain lines when piped."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.text import Text

from docfleet.worker.batch import Snapshot

_LINE_SECONDS = 10.0
_RATE_WINDOW_SECONDS = 60.0


class Rate:
    """Pages a second over the last minute, so that time left follows what is being read now."""

    def __init__(self) -> None:
        self._seen: list[tuple[float, int]] = []

    def update(self, seconds: float, pages: int) -> float:
        self._seen.append((seconds, pages))
        while len(self._seen) > 2 and self._seen[0][0] < seconds - _RATE_WINDOW_SECONDS:
            self._seen.pop(0)
        (first, before), (last, now) = self._seen[0], self._seen[-1]
        return (now - before) / (last - first) if last > first else 0.0


class Display(Protocol):
    def show(self, snapshot: Snapshot) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Silent:
    """Shows nothing."""

    def show(self, snapshot: Snapshot) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class Lines(Silent):
    """A line every ten seconds, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rate = Rate()
        self._last = 0.0

    def show(self, snapshot: Snapshot) -> None:
        facts = Facts(snapshot, self._rate)
        if snapshot.seconds - self._last >= _LINE_SECONDS:
            self._last = snapshot.seconds
            self._console.print(Text(facts.sentence), soft_wrap=True)


class Bar:
    """One live bar: documents, pages, rate, time left."""

    def __init__(self, console: Console) -> None:
        self._rate = Rate()
        self._bar = Progress(
            TextColumn("[bold]{task.fields[documents]}"),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TextColumn("{task.fields[pages]}"),
            TextColumn("[dim]{task.fields[rate]}"),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("", total=None, documents="collecting", pages="", rate="")

    def show(self, snapshot: Snapshot) -> None:
        facts = Facts(snapshot, self._rate)
        self._bar.update(
            self._task,
            total=facts.total_pages or None,
            completed=facts.done_pages,
            documents=f"{facts.done_documents}/{facts.documents}{'+' if snapshot.collecting else ''} documents",
            pages=f"{facts.done_pages}/{facts.total_pages} pages",
            rate=facts.rate,
        )

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()


class Facts:
    """A snapshot in numbers a person wants."""

    def __init__(self, snapshot: Snapshot, rate: Rate) -> None:
        progress = snapshot.progress
        self.documents = sum(progress.documents.values())
        self.done_documents = self.documents - progress.open_documents
        self.total_pages = progress.pages + progress.unplanned
        self.done_pages = progress.pages_read + progress.pages_failed
        self._per_second = rate.update(snapshot.seconds, self.done_pages)
        self._collecting = snapshot.collecting

    @property
    def rate(self) -> str:
        if self._per_second <= 0:
            return ""
        left = (self.total_pages - self.done_pages) / self._per_second
        return f"{self._per_second * 60:.0f} pages/min, {_clock(left)} left"

    @property
    def sentence(self) -> str:
        parts = [
            f"{self.done_documents}/{self.documents} documents",
            f"{self.done_pages}/{self.total_pages} pages",
            *([self.rate] if self.rate else []),
            *(["still collecting"] if self._collecting else []),
        ]
        return ", ".join(parts)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def display(console: Console, *, silent: bool) -> Display:
    """The display that fits where the output goes."""
    if silent:
        return Silent()
    return Bar(console) if console.is_terminal else Lines(console)
