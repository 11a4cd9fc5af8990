"""What calls to Document AI take and use, as metrics."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

import msgspec

from docfleet.domain.quota import Breakers, BreakerState
from docfleet.engines.documentai.calls import Endpoint
from docfleet.engines.documentai.endpoints import endpoints_of
from docfleet.engines.documentai.facts import Facts
from docfleet.engines.documentai.failures import Failure, FailureKind
from docfleet.engines.documentai.options import DocumentAIOptions
from docfleet.telemetry import metrics
from docfleet.telemetry.catalog import (
    BREAKER_STATE,
    ENGINE_DURATION,
    ENGINE_PAGES,
    ENGINE_REQUESTS,
    QUOTA_LIMIT,
    QUOTA_USED,
)
from docfleet.telemetry.labels import values_of
from docfleet.telemetry.metrics import Measured, reading

ENGINE = "documentai"
WINDOW_SECONDS = 60.0
_STATES = {BreakerState.CLOSED: 0.0, BreakerState.HALF_OPEN: 1.0, BreakerState.OPEN: 2.0}


class Sent(msgspec.Struct, frozen=True):
    at: float
    endpoint: str
    kind: str
    pages: int


class Use:
    """What one process sends. Threads may share one; `close` it."""

    def __init__(
        self,
        options: DocumentAIOptions,
        facts: Facts,
        breakers: Breakers,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options = options
        self._facts = facts
        self._breakers = breakers
        self._clock = clock
        self._lock = threading.Lock()
        self._sent: deque[Sent] = deque()
        metrics.watch(self.readings)

    def close(self) -> None:
        metrics.unwatch(self.readings)

    def sent(self, endpoint: Endpoint, pages: int) -> None:
        metrics.observe(ENGINE_PAGES, pages, ENGINE, endpoint.breaker)
        if metrics.is_enabled():
            with self._lock:
                self._sent.append(Sent(self._clock(), endpoint.breaker, kind_of(endpoint), pages))
                self._forget()

    def ended(self, endpoint: Endpoint, outcome: str, seconds: float) -> None:
        metrics.count(ENGINE_REQUESTS, 1.0, ENGINE, endpoint.breaker, outcome)
        metrics.observe(ENGINE_DURATION, seconds, ENGINE, endpoint.breaker)

    def readings(self) -> list[Measured]:
        """Limits, use and breakers of every endpoint that is set up."""
        found: dict[tuple[str, str], tuple[float | None, float | None]] = {}
        endpoints = [
            one
            for kind in dict.fromkeys(one.type for one in self._options.processors)
            for one in endpoints_of(self._options, self._facts, kind)
        ]
        for endpoint in endpoints:
            limits = self._facts.quota_limits(endpoint.quota)
            found[endpoint.breaker, kind_of(endpoint)] = (limits.requests_per_minute, limits.pages_per_minute)
        shown = [
            reading(BREAKER_STATE, _STATES[self._breakers.state(name)], name)
            for name in dict.fromkeys(endpoint.breaker for endpoint in endpoints)
        ]
        # the first of its kind is an increase then, and not a series that was not there before
        shown += [
            reading(ENGINE_REQUESTS, 0.0, ENGINE, name, outcome)
            for name in dict.fromkeys(endpoint.breaker for endpoint in endpoints)
            for outcome in values_of(ENGINE_REQUESTS, "outcome")
        ]
        used = self._used()
        for (name, kind), (requests, pages) in found.items():
            calls, sheets = used.get((name, kind), (0, 0))
            for what, limit, use in (("requests", requests, calls), ("pages", pages, sheets)):
                if limit is not None:
                    shown += [
                        reading(QUOTA_LIMIT, limit, name, f"{kind}/{what}"),
                        reading(QUOTA_USED, use, name, f"{kind}/{what}"),
                    ]
        return shown

    def _used(self) -> dict[tuple[str, str], tuple[int, int]]:
        """(requests, pages) of the last minute."""
        used: dict[tuple[str, str], tuple[int, int]] = {}
        with self._lock:
            self._forget()
            for one in self._sent:
                calls, pages = used.get((one.endpoint, one.kind), (0, 0))
                used[one.endpoint, one.kind] = (calls + 1, pages + one.pages)
        return used

    def _forget(self) -> None:
        since = self._clock() - WINDOW_SECONDS
        while self._sent and self._sent[0].at <= since:
            self._sent.popleft()


def outcome_of(failure: Failure | None) -> str:
    """As the metric calls it."""
    if failure is None:
        return "ok"
    if failure.kind is FailureKind.THROTTLED:
        return "throttled"
    return "timeout" if failure.status == "DEADLINE_EXCEEDED" else "error"


def kind_of(endpoint: Endpoint) -> str:
    """What its quota is counted by, in lower case."""
    return endpoint.quota.kind.lower()
