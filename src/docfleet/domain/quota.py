"""How calls to a cloud engine are metered: the questions a caller asks before and after each call, and their answers.

    grant = quota.ask(key, requests=1, pages=30)     # as late as can be: right before the call is sent
    if isinstance(grant, Wait): hand the work back, due in grant.seconds
    sleep(grant.after_seconds)                       # 0.0 unless `patience` was given
    send …
    exactly one of quota.succeeded | throttled | failed | refund (never sent)

Whoever dies in between loses nothing but time: its place among the calls under way comes back by itself.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

import msgspec


class QuotaKey(msgspec.Struct, frozen=True):
    """What a quota is counted by."""

    project: str
    location: str
    kind: str
    """Processor type (`OCR_PROCESSOR`), or what else has a quota of its own (`batch`)."""


class QuotaLimits(msgspec.Struct, frozen=True):
    """The quota of one key. None: not limited."""

    requests_per_minute: float | None = None
    pages_per_minute: float | None = None
    concurrent: int | None = None
    """Calls under way at a time."""
    burst_seconds: float = 1.0
    """A minute's quota may be ahead of its time by this much; at least one request, or the pages of one."""
    headroom: float = 0.02
    """Share of the rate that is left unused, since calls do not arrive as evenly as they are sent."""
    urgent_share: float = 0.2
    """Share of the rate that is held back for urgent calls while any of them waits; the rest of it is everybody's."""
    place_seconds: float = 300.0
    """A call that has not ended or been renewed after this counts as ended: longer than any call may take."""


class Grant(msgspec.Struct, frozen=True):
    """Leave to send one call."""

    id: str
    key: QuotaKey
    requests: int
    pages: int
    urgent: bool
    generation: int
    """Slowdowns before it was given: only one of the calls that were under way together slows the rate down."""
    origin: str
    """Who keeps the count: "shared", "local"."""
    after_seconds: float = 0.0
    """Send no sooner than this from now; at most the `patience` of the asker."""


class Wait(msgspec.Struct, frozen=True):
    """Not now."""

    seconds: float
    """When it is worth asking again; above 0."""
    reason: str
    """"requests", "pages", "concurrent", "paused" (the service said so), "urgent" (an urgent call is first)."""


class Quota(Protocol):
    """Counts calls, for one process or for all. Threads may share one. No method raises for a Redis that is away."""

    def ask(
        self, key: QuotaKey, requests: int = 1, pages: int = 0, urgent: bool = False, patience: float = 0.0
    ) -> Grant | Wait:
        """Leave to send a call of so many pages. With `patience` (seconds) the next turn is booked if it comes as soon
        as that: the grant then says after how many seconds, and the turn is nobody else's."""
        ...

    def refund(self, grant: Grant) -> None:
        """The call was never sent: all that was taken goes back. A second time does nothing."""
        ...

    def late(self, grant: Grant, seconds: float) -> None:
        """The call was sent so many seconds after its turn, more than calls are as a rule: the next ones come as much
        later. Where a quota has no room for a burst, they would arrive too soon after it."""
        ...

    def succeeded(self, grant: Grant) -> None:
        """The service took the call (whatever it then answered, if it was not that there is no quota)."""
        ...

    def throttled(self, grant: Grant, retry_after: float | None = None) -> None:
        """The service answered 429; `retry_after` in seconds, where it said so. Slows everybody down."""
        ...

    def failed(self, grant: Grant) -> None:
        """The call ended in a way that says nothing of the quota (unavailable, timed out, cut off)."""
        ...

    def renew(self, grant: Grant) -> None:
        """A call that lasts longer than `place_seconds` is still under way."""
        ...

    def free(self, key: QuotaKey) -> float:
        """Requests that would be granted now, one after another, to a caller that is not urgent.

        Fractions count (0.5: half-way to the next); inf: not limited; 0.0 while paused or full.
        """
        ...


class BreakerState(StrEnum):
    CLOSED = "closed"
    """Works."""
    HALF_OPEN = "half_open"
    """Was open; a few probes show whether it works again."""
    OPEN = "open"
    """Not to be called."""


class Passage(msgspec.Struct, frozen=True):
    """Whether an endpoint may be called. Handed back with `record` or `cancel`."""

    allowed: bool
    state: BreakerState
    probe: str = ""
    """Not empty: this call is a probe; the id of its place."""
    seconds: float = 0.0
    """Where not allowed: when it is worth asking again."""
    reason: str = ""

    def __bool__(self) -> bool:
        return self.allowed


class QuotaNow(msgspec.Struct, frozen=True):
    """How a quota stands, for whoever looks at it. Shares are of the configured rate."""

    factor: float = 1.0
    """What is used of the rate now."""
    ceiling: float = 1.0
    """Where the service was last seen to refuse; 1.0: never below the rate."""
    slowdowns: int = 0
    paused_seconds: float = 0.0
    """Until it is called again, where the service asked for a pause."""
    under_way: int = 0
    """Calls that have not ended."""


class BreakerNow(msgspec.Struct, frozen=True):
    """How a breaker stands, for whoever looks at it."""

    state: BreakerState = BreakerState.CLOSED
    reason: str = ""
    """Why it opened; empty while closed."""
    open_seconds: float | None = None
    """Since it opened last; None: closed."""
    left_seconds: float = 0.0
    """Until it is tried again."""
    calls: int = 0
    """That ended in the last minute; forgotten once it opens."""
    failures: int = 0
    slow: int = 0


class Breakers(Protocol):
    """One breaker for each endpoint, for one process or for all. Threads may share one. No method raises."""

    def may_call(self, endpoint: str) -> Passage: ...

    def record(self, endpoint: str, passage: Passage, ok: bool, seconds: float) -> None:
        """How the call ended and how long it took. `ok`: the endpoint did its work (a 429 or a refused document is ok;
        unavailable, internal, timed out and cut off are not)."""
        ...

    def cancel(self, endpoint: str, passage: Passage) -> None:
        """The call was never sent: a probe's place goes back."""
        ...

    def state(self, endpoint: str) -> BreakerState:
        """As it is now; takes no probe's place."""
        ...
