"""What the calls of this process came to, endpoint by endpoint: as metrics, and of the last hour for whoever looks.

Nothing is decided by it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from docfleet.engines.documentai.calls import Endpoint
from docfleet.engines.documentai.failures import Failure, FailureKind
from docfleet.telemetry import metrics
from docfleet.telemetry.catalog import ENGINE_DURATION, ENGINE_PAGES, ENGINE_REQUESTS

ENGINE = "documentai"
SLOT_SECONDS = 5.0
HOUR_SECONDS = 3600.0
MINUTE_SECONDS = 60.0
_SLOTS = int(HOUR_SECONDS / SLOT_SECONDS) + 1
WAIT_SHOWN_SECONDS = 15.0
"""For so long after it was sent away last, an endpoint counts as one that is waited for."""


class Sums(msgspec.Struct, frozen=True):
    """Of a span of time that ends now."""

    requests: int = 0
    """Sent, hedges among them."""
    pages: int = 0
    answered: int = 0
    """With a document, or with what is wrong with it."""
    throttled: int = 0
    """429."""
    errors: int = 0
    timeouts: int = 0
    hedges: int = 0
    """Second calls beside one that was late."""
    abandoned: int = 0
    """Whose other call answered first."""
    sent_away: int = 0
    """Times no leave was given: the quota was used up, or the breaker open."""
    seconds: float = 0.0
    """Of those that ended, together."""

    def plus(self, other: Sums) -> Sums:
        return Sums(*(mine + its for mine, its in zip(msgspec.structs.astuple(self), _tuple(other), strict=True)))

    @property
    def ended(self) -> int:
        return self.answered + self.throttled + self.errors + self.timeouts


def _tuple(sums: Sums) -> tuple[float, ...]:
    return msgspec.structs.astuple(sums)


class EndpointUse(msgspec.Struct, frozen=True):
    endpoint: Endpoint
    under_way: int = 0
    minute: Sums = Sums()
    hour: Sums = Sums()
    waits_for: str = ""
    """Why leave was not given just now: "requests", "pages", "concurrent", "paused", "urgent", "away"."""


class Outcome(StrEnum):
    """How a request ended, as the metrics call it."""

    OK = "ok"
    REFUSED = "refused"
    """It was answered: with what is wrong with the document, or with the request."""
    THROTTLED = "throttled"
    ERROR = "error"
    TIMEOUT = "timeout"
    ABANDONED = "abandoned"


_SUMS = {
    Outcome.OK: "answered",
    Outcome.REFUSED: "answered",
    Outcome.THROTTLED: "throttled",
    Outcome.ERROR: "errors",
    Outcome.TIMEOUT: "timeouts",
    Outcome.ABANDONED: "abandoned",
}
"""Outcome -> field of `Sums`."""


class Usage:
    """Counts, for the threads of one process. Sums are right to a slot of five seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, _Counts] = {}

    def sent(self, endpoint: Endpoint, pages: int, hedge: bool) -> None:
        metrics.observe(ENGINE_PAGES, pages, ENGINE, endpoint.breaker)
        with self._lock:
            counts = self._counts(endpoint)
            counts.under_way += 1
            counts.add(self._clock(), requests=1, pages=pages, hedges=int(hedge))

    def ended(self, endpoint: Endpoint, outcome: Outcome, seconds: float) -> None:
        """After so long. Once for each that was sent."""
        metrics.count(ENGINE_REQUESTS, 1.0, ENGINE, endpoint.breaker, outcome)
        metrics.observe(ENGINE_DURATION, seconds, ENGINE, endpoint.breaker)
        with self._lock:
            counts = self._counts(endpoint)
            counts.under_way = max(0, counts.under_way - 1)
            # how long one took that was given up says nothing of the endpoint
            ran = 0.0 if outcome is Outcome.ABANDONED else seconds
            counts.add(self._clock(), seconds=ran, **{_SUMS[outcome]: 1})

    def sent_away(self, endpoint: Endpoint, reason: str) -> None:
        """No leave was given to call it."""
        with self._lock:
            counts = self._counts(endpoint)
            counts.waits_for, counts.waited_at = reason, self._clock()
            counts.add(self._clock(), sent_away=1)

    def told(self) -> list[EndpointUse]:
        """Of every endpoint that was called, or was to be."""
        with self._lock:
            now = self._clock()
            return [
                EndpointUse(
                    one.endpoint,
                    one.under_way,
                    one.since(now - MINUTE_SECONDS),
                    one.since(now - HOUR_SECONDS),
                    one.waits_for if now - one.waited_at <= WAIT_SHOWN_SECONDS else "",
                )
                for one in self._known.values()
            ]

    def _counts(self, endpoint: Endpoint) -> _Counts:
        return self._known.setdefault(endpoint.name, _Counts(endpoint))


@dataclass
class _Counts:
    endpoint: Endpoint
    under_way: int = 0
    waits_for: str = ""
    waited_at: float = float("-inf")
    slots: deque[tuple[int, Sums]] = field(default_factory=lambda: deque(maxlen=_SLOTS))

    def add(self, now: float, **more: float) -> None:
        number = int(now // SLOT_SECONDS)
        if not self.slots or self.slots[-1][0] != number:
            self.slots.append((number, Sums()))
        sums = self.slots[-1][1]
        changed = {name: getattr(sums, name) + amount for name, amount in more.items()}
        self.slots[-1] = (number, msgspec.structs.replace(sums, **changed))

    def since(self, moment: float) -> Sums:
        first = round(moment / SLOT_SECONDS)
        found = Sums()
        for number, sums in reversed(self.slots):
            if number < first:
                break
            found = found.plus(sums)
        return found


def outcome_of(failure: Failure | None) -> Outcome:
    """`failure` None: it was answered with a document."""
    if failure is None:
        return Outcome.OK
    if failure.kind in (FailureKind.DOCUMENT, FailureKind.REQUEST):
        return Outcome.REFUSED
    if failure.kind is FailureKind.THROTTLED:
        return Outcome.THROTTLED
    return Outcome.TIMEOUT if failure.code == "timed_out" else Outcome.ERROR
