"""What a batch report is drawn from: plain values handed in by whoever ran the batch.

Nothing here is derived; `figures` does that. Times are seconds unless they are moments, money is US dollars,
confidences are 0..1.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec


class Outcome(StrEnum):
    """How a document ended."""

    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    """At least one page was read and at least one was not."""
    FAILED = "failed"
    DUPLICATE = "duplicate"
    """The same bytes as another document of the batch, which was read once."""
    CANCELLED = "cancelled"
    OPEN = "open"
    """It has not ended."""


class DocumentRow(msgspec.Struct, frozen=True, gc=False):
    """One input of the batch."""

    file: str
    """As the user named it; any characters."""
    outcome: Outcome
    code: str = ""
    """Stable code of the error when the outcome is no success."""
    pages: int = 0
    bytes: int = 0
    engine: str = ""
    """The engine that read most of its pages, or several, joined by the caller."""
    confidence: float | None = None
    """None: nothing was read."""
    seconds: float = 0.0
    """Time spent on it, summed over its pages."""
    folder: str = ""
    """Where its results are, relative to the output folder."""
    finished_after: float | None = None
    """Seconds between the start of the batch and its end; None: not known (no timeline is drawn from it)."""


class PageRow(msgspec.Struct, frozen=True, gc=False):
    """One page worth showing by itself."""

    file: str
    page: int
    """From 1."""
    engine: str
    reason: str
    """Stable code of the cascade's reason."""
    confidence: float


class Failure(msgspec.Struct, frozen=True, gc=False):
    """One document, or one page of a document, that could not be read."""

    file: str
    code: str
    message: str
    """The cause, one sentence for a person."""
    remedy: str = ""
    """What to do."""
    page: int = 0
    """From 1; 0: the whole document."""


class Environment(msgspec.Struct, frozen=True):
    """What the batch ran on."""

    version: str
    """docfleet's version."""
    engines: tuple[str, ...] = ()
    """Names with versions, such as "rapidocr 3.10"."""
    workers: int = 1
    python: str = ""
    platform: str = ""


class Totals(msgspec.Struct, frozen=True):
    """Sums over a batch."""

    inputs: int
    succeeded: int
    partial: int
    failed: int
    duplicates: int
    pages: int
    """Pages read, or, where no engine was counted, pages of the documents that were read."""
    unread_pages: int
    bytes: int
    seconds: float
    """Wall clock."""
    confidence: float | None
    """Mean over pages."""
    cancelled: int = 0
    open: int = 0

    @property
    def documents(self) -> int:
        """Inputs without duplicates."""
        return self.inputs - self.duplicates

    @property
    def read(self) -> int:
        return self.succeeded + self.partial


class Cause(msgspec.Struct, frozen=True):
    """Failures with one code."""

    code: str
    count: int
    remedy: str


class Whole(msgspec.Struct, frozen=True):
    """Of a batch too long to be handed in: sums over all of it, and the rows that tables choose from all of it."""

    totals: Totals
    causes: tuple[Cause, ...]
    failures: int
    least_certain: tuple[DocumentRow, ...]
    slowest: tuple[DocumentRow, ...]
    finished_pages: tuple[int, ...] = ()
    """Pages finished in equal stretches of the batch; empty: too few to draw."""
    facts: tuple[tuple[str, str], ...] = ()
    """Of the run, name and value."""
    rest: str = ""
    """Where rows are that the tables leave out."""
    place: str = "Document"
    """Heading of the column that says where a document is."""


class BatchReport(msgspec.Struct, frozen=True):
    """Everything the report of one batch shows, given as facts."""

    title: str
    started: datetime
    finished: datetime
    documents: tuple[DocumentRow, ...]
    environment: Environment
    command: str = ""
    """The command that was run, for the reader to repeat."""
    wall_seconds: float | None = None
    """Time worked; None: from started to finished. Less than that when the batch was interrupted and went on later."""
    cpu_seconds: float | None = None
    """Over all processes; None: not measured."""
    pages_by_engine: dict[str, int] = {}
    """Pages read, by the engine whose words were kept."""
    pages_by_reason: dict[str, int] = {}
    """The same pages, by the cascade's reason."""
    confidence_histogram: tuple[int, ...] = ()
    """Pages in equal bins over 0..1, lowest first; empty: not known."""
    least_certain_pages: tuple[PageRow, ...] = ()
    failures: tuple[Failure, ...] = ()
    cost_usd: float = 0.0
    whole: Whole | None = None
    """None: `documents` and `failures` are all there are; else the first of them."""
