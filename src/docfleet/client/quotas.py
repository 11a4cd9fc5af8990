"""Live use of the quotas of the cloud engine."""

from __future__ import annotations

from datetime import datetime

import msgspec


class QuotaUse(msgspec.Struct, frozen=True):
    """One limit of an endpoint: `requests` or `pages` of a minute, or `calls` under way."""

    quota: str
    limit: float | None = None
    used: float | None = None
    """In the last minute, or now; None: nobody tells."""
    share: float | None = None
    allowed: float | None = None
    """What workers let themselves use of it now."""
    learnt: float | None = None
    """Where the service was seen to refuse; None: never below the limit."""


class Calls(msgspec.Struct, frozen=True):
    """Calls of a span of time that ends now."""

    requests: int = 0
    pages: int = 0
    answered: int = 0
    throttled: int = 0
    """Answered 429."""
    errors: int = 0
    timeouts: int = 0
    hedges: int = 0
    sent_away: int = 0
    """Times a worker had no leave to call."""
    mean_seconds: float | None = None


class BreakerFacts(msgspec.Struct, frozen=True):
    state: str
    """ "closed", "open" or "half_open"."""
    reason: str | None = None
    open_seconds: float | None = None
    left_seconds: float = 0.0
    calls: int = 0
    failures: int = 0


class EndpointQuota(msgspec.Struct, frozen=True):
    """A processor in its location. What is None is known to nobody who tells."""

    location: str
    processor: str
    type: str = ""
    version: str | None = None
    project: str = ""
    host: str = ""
    quotas: tuple[QuotaUse, ...] = ()
    under_way: int | None = None
    paused_seconds: float | None = None
    slowdowns: int | None = None
    minute: Calls | None = None
    hour: Calls | None = None
    waits_for: str | None = None
    breaker: BreakerFacts | None = None
    away: str | None = None
    """Why nothing is sent there now."""


class CloudWorker(msgspec.Struct, frozen=True):
    name: str
    region: str = ""
    age_seconds: float = 0.0
    calls: int = 0
    waiting_pages: int = 0
    preparing_pages: int = 0
    in_flight_pages: int = 0


class CloudBatches(msgspec.Struct, frozen=True):
    """Batches of one location."""

    location: str
    asking: int = 0
    running: int = 0
    limit: int | None = None
    oldest_seconds: float = 0.0
    sent_pages: int = 0
    waiting_files: int = 0
    waiting_pages: int = 0
    waiting_seconds: float = 0.0


class Quotas(msgspec.Struct, frozen=True):
    at: datetime
    engine: str | None = None
    """None: no cloud engine is set up."""
    counted: str = ""
    """ "together" in Redis, or by each worker "alone"."""
    why: str | None = None
    """What is not known and why; None: everything is."""
    items: tuple[EndpointQuota, ...] = ()
    workers: tuple[CloudWorker, ...] = ()
    batches: tuple[CloudBatches, ...] = ()
