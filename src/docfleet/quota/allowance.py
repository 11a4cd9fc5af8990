"""What may be sent under one quota, and when: buckets of requests and pages, a bound on calls under way, the pace that
refusals have set, and a share for urgent calls. Pure; `allowance.lua` is the same arithmetic inside Redis, and a test
holds the two together.

Urgent calls. Others leave a share of the burst for them; and an urgent call that is sent away is owed the next turn:
until shortly after it is due, nobody else is let in. Both are paid from a bucket of credit that fills at the urgent
share of the rate: who is urgent beyond that share competes with everybody else, so that a flood of urgent calls starves
nobody; and what no urgent call asks for is not wasted.
"""

from __future__ import annotations

from math import inf, isfinite

import msgspec

from docfleet.domain.quota import QuotaLimits
from docfleet.quota.adaptive import Pace, lowest_factor
from docfleet.quota.bucket import TINY, TokenBucket

OWED_SECONDS = 1.0
"""How long after it is due an urgent call may come back and still be first."""
PLACE_WAIT = 0.5
"""When to ask again where too many calls are under way: nobody knows when one of them ends."""
LONGEST_PAUSE = 600.0
"""A service that asks for more is asked again after this."""
LONGEST_SHIFT = 5.0
"""A call that was sent later than this after its turn holds nobody up for longer."""
PRESSED_SECONDS = 60.0
"""How long somebody's having had to wait shows that the rate is used."""


class Asked(msgspec.Struct, frozen=True):
    requests: int = 1
    pages: int = 0
    urgent: bool = False
    patience: float = 0.0


class Verdict(msgspec.Struct, frozen=True):
    granted: bool
    seconds: float
    """Until the call may be sent, or until it is worth asking again."""
    reason: str = ""


class Allowance(msgspec.Struct, frozen=True):
    """State of one quota; times in seconds of the one clock it is kept by. Levels that have no limit stay 0."""

    requests: float
    pages: float
    credit: float
    at: float
    pace: Pace = Pace()
    paused_until: float = 0.0
    owed_until: float = 0.0
    pressed_at: float = -inf

    @classmethod
    def fresh(cls, limits: QuotaLimits, now: float, *, full: bool, pace: Pace | None = None) -> Allowance:
        """Nothing known yet but perhaps a pace. `full`: a burst may be sent at once; safe only where nobody else has
        been sending just before."""
        empty = cls(0.0, 0.0, 0.0, now, pace or Pace())
        rates = _Rates(limits, empty.pace.factor)
        if not full:
            return msgspec.structs.replace(empty, credit=rates.credit_capacity)
        return cls(rates.capacity, rates.pages_capacity, rates.credit_capacity, now, empty.pace)

    def ask(
        self, limits: QuotaLimits, asked: Asked, under_way: int, first_end: float, now: float
    ) -> tuple[Allowance, Verdict]:
        """State afterwards and the answer. `under_way`: calls that have not ended; the first of them counts as ended
        at `first_end`."""
        state = self.at_time(limits, now)
        rates = _Rates(limits, state.pace.factor)
        requests, pages, credit = rates.buckets(state)
        favoured = asked.urgent and (credit is None or credit.level + TINY >= min(asked.requests, credit.capacity))
        waits = {
            "requests": _wait(requests, asked.requests, 0.0 if favoured else rates.kept, now),
            "pages": _wait(pages, asked.pages, 0.0 if favoured else rates.pages_kept, now) if asked.pages else 0.0,
            "paused": max(0.0, state.paused_until - now),
            # a burst that holds both turns need not hold anybody up
            "urgent": 0.0 if favoured or state.requests >= asked.requests + 1 else max(0.0, state.owed_until - now),
            "concurrent": 0.0,
        }
        if limits.concurrent is not None and under_way >= limits.concurrent:
            waits["concurrent"] = min(PLACE_WAIT, max(0.05, first_end - now))
        reason = max(waits, key=lambda name: waits[name])
        seconds = min(waits[reason], LONGEST_PAUSE)
        if max(waits["requests"], waits["pages"]) > 0.0:
            state = msgspec.structs.replace(state, pressed_at=now)
        # who is owed a turn must find it: it cannot be booked by somebody else before
        bookable = seconds <= asked.patience and not waits["concurrent"] and not waits["urgent"]
        if seconds > 0.0 and not bookable:
            if favoured:
                state = msgspec.structs.replace(state, owed_until=now + seconds + OWED_SECONDS)
            return state, Verdict(False, seconds, reason)
        paid = favoured and (state.owed_until > now or _wait(requests, asked.requests, rates.kept, now) > 0.0)
        taken = msgspec.structs.replace(
            state,
            requests=state.requests - asked.requests if requests is not None else 0.0,
            pages=state.pages - asked.pages if pages is not None else 0.0,
            credit=state.credit - asked.requests if credit is not None and paid else state.credit,
            owed_until=0.0 if favoured else state.owed_until,
            pace=state.pace.granted(),
        )
        return taken, Verdict(True, seconds)

    def refunded(self, limits: QuotaLimits, requests: int, pages: int, now: float) -> Allowance:
        """What was taken for a call that was never sent is back, up to the burst."""
        state = self.at_time(limits, now)
        rates = _Rates(limits, state.pace.factor)
        return msgspec.structs.replace(
            state,
            requests=min(rates.capacity, state.requests + requests),
            pages=min(rates.pages_capacity, state.pages + pages),
        )

    def late(self, limits: QuotaLimits, seconds: float, now: float) -> Allowance:
        """A call was sent so much after its turn: those behind it come as much later, or they would catch it up."""
        state = self.at_time(limits, now)
        rates = _Rates(limits, state.pace.factor)
        shift = min(max(0.0, seconds), LONGEST_SHIFT)
        return msgspec.structs.replace(
            state,
            requests=state.requests - shift * rates.per_second if rates.is_limited else state.requests,
            pages=state.pages - shift * rates.pages_per_second if rates.has_pages else state.pages,
        )

    def throttled(self, limits: QuotaLimits, generation: int, retry_after: float | None, now: float) -> Allowance:
        """The service refused a call granted in `generation`."""
        state = self.at_time(limits, now)
        pause = retry_after if retry_after is not None and isfinite(retry_after) else 0.0
        per_minute = 60.0 * _Rates(limits, state.pace.factor).per_second
        return msgspec.structs.replace(
            state,
            requests=min(0.0, state.requests),
            pages=min(0.0, state.pages),
            pace=state.pace.throttled(generation, lowest_factor(limits.requests_per_minute), per_minute),
            paused_until=max(state.paused_until, now + min(pause, LONGEST_PAUSE)),
        )

    def succeeded(self, limits: QuotaLimits, generation: int, now: float) -> Allowance:
        """The service took a call granted in `generation`."""
        state = self.at_time(limits, now)
        pressed = now - state.pressed_at <= PRESSED_SECONDS
        per_minute = 60.0 * _Rates(limits, state.pace.factor).per_second
        return msgspec.structs.replace(state, pace=state.pace.succeeded(generation, pressed, per_minute))

    def free(self, limits: QuotaLimits, under_way: int, now: float) -> float:
        """Requests that would be granted now to a caller that is not urgent; inf: not limited."""
        state = self.at_time(limits, now)
        rates = _Rates(limits, state.pace.factor)
        requests, pages, _ = rates.buckets(state)
        is_owed = state.owed_until > now and state.requests < 2
        if state.paused_until > now or is_owed or _wait(pages, 1, rates.pages_kept, now) > 0.0:
            return 0.0
        room = inf if limits.concurrent is None else float(max(0, limits.concurrent - under_way))
        if requests is not None:
            kept = min(1 + rates.kept, rates.capacity) - 1
            room = min(room, max(0.0, requests.level - kept))
        return room

    def at_time(self, limits: QuotaLimits, now: float) -> Allowance:
        """Refilled up to `now`. Where the clock went back, nothing that was to come later stays out of reach."""
        rates = _Rates(limits, self.pace.factor)
        past = max(0.0, now - self.at)
        return msgspec.structs.replace(
            self,
            requests=min(rates.capacity, self.requests + past * rates.per_second),
            pages=min(rates.pages_capacity, self.pages + past * rates.pages_per_second),
            credit=min(rates.credit_capacity, self.credit + past * rates.credit_per_second),
            at=now,
            paused_until=min(self.paused_until, now + LONGEST_PAUSE),
            owed_until=min(self.owed_until, now + LONGEST_PAUSE + OWED_SECONDS),
            pressed_at=min(self.pressed_at, now),
        )


class _Rates:
    """Rates and capacities of a quota at one pace."""

    def __init__(self, limits: QuotaLimits, factor: float) -> None:
        used = factor * (1.0 - limits.headroom) / 60.0
        self.per_second = (limits.requests_per_minute or 0.0) * used
        self.pages_per_second = (limits.pages_per_minute or 0.0) * used
        self.credit_per_second = self.per_second * limits.urgent_share
        self.is_limited = limits.requests_per_minute is not None
        self.has_pages = limits.pages_per_minute is not None
        self.capacity = max(1.0, self.per_second * limits.burst_seconds) if self.is_limited else 0.0
        self.pages_capacity = max(1.0, self.pages_per_second * limits.burst_seconds) if self.has_pages else 0.0
        self.credit_capacity = max(1.0, self.capacity * limits.urgent_share) if self.is_limited else 0.0
        self.kept = self.capacity * limits.urgent_share
        self.pages_kept = self.pages_capacity * limits.urgent_share

    def buckets(self, state: Allowance) -> tuple[TokenBucket | None, TokenBucket | None, TokenBucket | None]:
        """Of requests, pages and credit; None: not limited."""
        at = state.at
        requests = TokenBucket(self.per_second, self.capacity, state.requests, at) if self.is_limited else None
        pages = TokenBucket(self.pages_per_second, self.pages_capacity, state.pages, at) if self.has_pages else None
        credit = TokenBucket(self.credit_per_second, self.credit_capacity, state.credit, at)
        return requests, pages, credit if self.is_limited else None


def _wait(bucket: TokenBucket | None, amount: float, kept: float, now: float) -> float:
    return 0.0 if bucket is None else bucket.wait_for(amount, now, kept)
