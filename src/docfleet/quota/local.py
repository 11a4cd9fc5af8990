"""Quotas of one process alone. Also what remains of the shared ones while Redis is away."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterable
from math import inf

import msgspec

from docfleet.domain.quota import Grant, QuotaKey, QuotaLimits, QuotaNow, Wait
from docfleet.quota.adaptive import Pace
from docfleet.quota.allowance import Allowance, Asked

ORIGIN = "local"

LimitsOf = Callable[[QuotaKey], QuotaLimits]


class LocalQuota:
    """A `Quota` for the threads of one process. `clock`: seconds of a steady clock; tests hand in one of their own."""

    def __init__(
        self, limits_of: LimitsOf, clock: Callable[[], float] = time.monotonic, *, starts_full: bool = True
    ) -> None:
        self._limits_of = limits_of
        self._clock = clock
        self._starts_full = starts_full
        self._lock = threading.Lock()
        self._allowances: dict[QuotaKey, Allowance] = {}
        self._calls: dict[QuotaKey, dict[str, float]] = {}

    def ask(
        self, key: QuotaKey, requests: int = 1, pages: int = 0, urgent: bool = False, patience: float = 0.0
    ) -> Grant | Wait:
        limits = self._limits_of(key)
        with self._lock:
            now = self._clock()
            calls = self._under_way(key, now)
            first_end = min(calls.values(), default=inf)
            asked = Asked(requests, pages, urgent, patience)
            state, verdict = self._allowance(key, limits, now).ask(limits, asked, len(calls), first_end, now)
            self._allowances[key] = state
            if not verdict.granted:
                return Wait(verdict.seconds, verdict.reason)
            grant = Grant(
                secrets.token_hex(8), key, requests, pages, urgent, state.pace.generation, ORIGIN, verdict.seconds
            )
            calls[grant.id] = now + limits.place_seconds
            return grant

    def refund(self, grant: Grant) -> None:
        limits = self._limits_of(grant.key)
        with self._lock:
            now = self._clock()
            if self._under_way(grant.key, now).pop(grant.id, None) is not None:
                state = self._allowance(grant.key, limits, now)
                self._allowances[grant.key] = state.refunded(limits, grant.requests, grant.pages, now)

    def late(self, grant: Grant, seconds: float) -> None:
        limits = self._limits_of(grant.key)
        with self._lock:
            now = self._clock()
            self._allowances[grant.key] = self._allowance(grant.key, limits, now).late(limits, seconds, now)

    def succeeded(self, grant: Grant) -> None:
        self._end(grant, lambda state, limits, now: state.succeeded(limits, grant.generation, now))

    def throttled(self, grant: Grant, retry_after: float | None = None) -> None:
        self._end(grant, lambda state, limits, now: state.throttled(limits, grant.generation, retry_after, now))

    def failed(self, grant: Grant) -> None:
        with self._lock:
            self._under_way(grant.key, self._clock()).pop(grant.id, None)

    def renew(self, grant: Grant) -> None:
        limits = self._limits_of(grant.key)
        with self._lock:
            now = self._clock()
            self._under_way(grant.key, now)[grant.id] = now + limits.place_seconds

    def free(self, key: QuotaKey) -> float:
        limits = self._limits_of(key)
        with self._lock:
            now = self._clock()
            return self._allowance(key, limits, now).free(limits, len(self._under_way(key, now)), now)

    def pace(self, key: QuotaKey) -> Pace:
        """What refusals have taught so far."""
        with self._lock:
            state = self._allowances.get(key)
            return state.pace if state is not None else Pace()

    def look(self, key: QuotaKey) -> QuotaNow:
        """As it is now; changes nothing."""
        with self._lock:
            now = self._clock()
            state = self._allowances.get(key)
            under_way = len(self._under_way(key, now))
            if state is None:
                return QuotaNow(under_way=under_way)
            pace, paused = state.pace, max(0.0, state.paused_until - now)
            return QuotaNow(pace.factor, pace.ceiling, pace.generation, paused, under_way)

    def start_at(self, key: QuotaKey, pace: Pace, grants: Iterable[Grant] = ()) -> None:
        """Goes on from what somebody else has learnt, with calls that are under way already, and with empty buckets:
        that one may just have let a burst go."""
        limits = self._limits_of(key)
        with self._lock:
            now = self._clock()
            self._allowances[key] = Allowance.fresh(limits, now, full=False, pace=pace)
            self._calls[key] = {grant.id: now + limits.place_seconds for grant in grants}

    def _end(self, grant: Grant, change: Callable[[Allowance, QuotaLimits, float], Allowance]) -> None:
        limits = self._limits_of(grant.key)
        with self._lock:
            now = self._clock()
            self._under_way(grant.key, now).pop(grant.id, None)
            self._allowances[grant.key] = change(self._allowance(grant.key, limits, now), limits, now)

    def _allowance(self, key: QuotaKey, limits: QuotaLimits, now: float) -> Allowance:
        known = self._allowances.get(key)
        return known if known is not None else Allowance.fresh(limits, now, full=self._starts_full)

    def _under_way(self, key: QuotaKey, now: float) -> dict[str, float]:
        calls = self._calls.setdefault(key, {})
        for ended in [call for call, until in calls.items() if until <= now]:
            del calls[ended]
        return calls


def share_of(limits: QuotaLimits, sharers: int) -> QuotaLimits:
    """What each of so many processes may use that do not know of one another: together not more than the whole.

    A bound on calls under way cannot be divided below one call each.
    """
    parts = max(1, sharers)
    return msgspec.structs.replace(
        limits,
        requests_per_minute=None if limits.requests_per_minute is None else limits.requests_per_minute / parts,
        pages_per_minute=None if limits.pages_per_minute is None else limits.pages_per_minute / parts,
        concurrent=None if limits.concurrent is None else min(limits.concurrent, max(1, limits.concurrent // parts)),
    )
