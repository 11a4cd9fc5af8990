"""A call and what becomes of it, as values."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from docfleet.domain.quota import QuotaKey
from docfleet.engines.documentai.facts import OCR
from docfleet.engines.documentai.failures import Failure


class Endpoint(msgspec.Struct, frozen=True):
    """One processor in one location."""

    host: str
    """Address, such as `eu-documentai.googleapis.com`."""
    location: str
    name: str
    """`projects/…/locations/…/processors/…[/processorVersions/…]`."""
    kind: str
    quota: QuotaKey
    leaves_region: bool = False
    """Its version sends pages to a model outside the location."""

    @property
    def breaker(self) -> str:
        """What its breaker is called: the location at its address, whatever the processor."""
        return f"{self.location}@{self.host}"


class Selection(msgspec.Struct, frozen=True):
    """Pages of the file that are to be read, 1-based, both included."""

    first: int
    last: int

    @property
    def pages(self) -> int:
        return self.last - self.first + 1


class Call(msgspec.Struct, frozen=True):
    """One request, whoever it goes to."""

    content: bytes
    mime_type: str
    pages: int
    """Pages that are read: what quota, price and the time it may take are counted by."""
    selection: Selection | None = None
    """None: every page of the file."""
    kind: str = OCR
    tenant: str = ""
    """Whose documents: the rule of residency."""
    languages: tuple[str, ...] = ()
    urgent: bool = False
    may_hedge: bool = True
    """Whether a second call for the same pages may be paid for."""
    patience: float = 0.0
    """Seconds to wait here for a turn of the quota; 0: come back later."""
    exclude: frozenset[str] = frozenset()
    """Locations not to be asked this time."""


class Attempt(msgspec.Struct, frozen=True):
    """One request that was sent (or could not be)."""

    endpoint: Endpoint
    pages: int
    seconds: float
    failure: Failure | None = None
    """None: answered with a document."""
    hedge: bool = False
    """The second call beside one that was late."""
    abandoned: bool = False
    """The other call answered first; nobody knows whether this one is billed."""
    started: float = 0.0
    """When it was sent, by the caller's clock."""

    @property
    def billed(self) -> bool:
        """Whether its pages count as paid for, doubt included."""
        return self.abandoned or self.failure is None or self.failure.may_be_billed


class Answer(msgspec.Struct, frozen=True):
    document: Any
    """Raw Document AI protobuf; see `documentai_format.from_proto` and `cut`."""
    endpoint: Endpoint
    reason: str
    """Why this endpoint, one sentence."""
    seconds: float
    attempts: tuple[Attempt, ...] = ()
    page_usd: tuple[float, ...] = ()
    """What each page cost, where somebody keeps an account of it."""


class Postponed(msgspec.Struct, frozen=True):
    """Not sent, or refused for want of quota: it costs nothing and counts for nothing."""

    seconds: float
    """When it is worth asking again."""
    reason: str
    """"requests", "pages", "concurrent", "paused", "urgent" (see `domain.quota.Wait`), "throttled", or "away": every
    endpoint that may be called is out of order."""
    attempts: tuple[Attempt, ...] = ()


class Failed(msgspec.Struct, frozen=True):
    failure: Failure
    attempts: tuple[Attempt, ...] = ()


class Asks(Protocol):
    """Makes one request: `calling.Caller`, or somebody who pays for it first."""

    def call(self, call: Call) -> Answer | Postponed | Failed: ...

    def close(self) -> None: ...
