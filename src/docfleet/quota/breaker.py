"""When an endpoint is called no more, and when it is tried again. Pure; times in seconds of one clock.

    CLOSED ──errors, slow calls, or silence──▶ OPEN ──after a while──▶ HALF_OPEN ──probes succeed──▶ CLOSED
                                                 ▲                        │
                                                 └──a probe fails: twice the while, up to a limit──┘

It opens when, of the calls of the last minute, too many failed or too many were slow; or when several failed in a row
and none has succeeded for some seconds, which notices an endpoint that is gone where calls are few.
"""

from __future__ import annotations

import msgspec

from docfleet.domain.quota import BreakerNow, BreakerState, Passage


class BreakerPolicy(msgspec.Struct, frozen=True):
    window_seconds: float = 60.0
    min_calls: int = 10
    """Shares of fewer calls say nothing."""
    failure_share: float = 0.5
    slow_share: float = 0.8
    slow_seconds: float = 60.0
    """A call that takes longer is slow; well above what a full request takes."""
    failures_in_a_row: int = 3
    silent_seconds: float = 10.0
    """So many failures in a row open it only if the last success is longer ago than this."""
    open_seconds: float = 5.0
    """How long it is open first; doubles with each failed round of probes."""
    open_limit_seconds: float = 60.0
    probes: int = 2
    """Calls under way at a time while half open."""
    probes_to_close: int = 2
    probe_seconds: float = 120.0
    """A probe that has not ended after this counts as failed: whoever sent it may have died."""


SLOTS = 6
"""Parts of the window; the oldest is forgotten as a whole."""


class Slot(msgspec.Struct, frozen=True, array_like=True):
    """Calls that ended in one part of the window."""

    number: int
    calls: int = 0
    failures: int = 0
    slow: int = 0


class Breaker(msgspec.Struct, frozen=True, omit_defaults=True):
    slots: tuple[Slot, ...] = ()
    in_a_row: int = 0
    """Failures since the last success."""
    succeeded_at: float = -1e18
    opened_at: float | None = None
    """None: closed."""
    open_for: float = 0.0
    probes: dict[str, float] = {}
    """Under way, by id: when each counts as failed."""
    passed: int = 0
    """Probes that succeeded since it was last opened."""
    why: str = ""

    def state(self, now: float) -> BreakerState:
        if self.opened_at is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if self._left(now) > 0.0 else BreakerState.HALF_OPEN

    def now(self, policy: BreakerPolicy, now: float) -> BreakerNow:
        """What there is to see of it."""
        first = int(now // (policy.window_seconds / SLOTS)) - SLOTS
        slots = [slot for slot in self.slots if slot.number > first]
        return BreakerNow(
            self.state(now),
            self.why,
            None if self.opened_at is None else max(0.0, now - self.opened_at),
            0.0 if self.opened_at is None else max(0.0, self._left(now)),
            sum(slot.calls for slot in slots),
            sum(slot.failures for slot in slots),
            sum(slot.slow for slot in slots),
        )

    def may_call(self, policy: BreakerPolicy, now: float, probe: str) -> tuple[Breaker, Passage]:
        """The breaker afterwards (the same object where nothing changed) and the answer; `probe` is an id nobody has
        used."""
        breaker = self._without_dead_probes(policy, now)
        match breaker.state(now):
            case BreakerState.CLOSED:
                return breaker, Passage(True, BreakerState.CLOSED)
            case BreakerState.OPEN:
                seconds = breaker._left(now)
                return breaker, Passage(False, BreakerState.OPEN, seconds=seconds, reason=breaker.why)
            case BreakerState.HALF_OPEN:
                if len(breaker.probes) >= policy.probes:
                    return breaker, Passage(False, BreakerState.HALF_OPEN, seconds=1.0, reason="a probe is under way")
                probes = {**breaker.probes, probe: now + policy.probe_seconds}
                taken = msgspec.structs.replace(breaker, probes=probes)
                return taken, Passage(True, BreakerState.HALF_OPEN, probe=probe, reason="a probe")

    def recorded(self, policy: BreakerPolicy, passage: Passage, ok: bool, seconds: float, now: float) -> Breaker:
        """After a call that was let through with `passage`."""
        breaker = self._without_dead_probes(policy, now)
        if passage.probe:
            return breaker._after_probe(policy, passage.probe, ok and seconds <= policy.slow_seconds, now)
        if breaker.opened_at is not None:
            # a call from before it opened: old news
            return breaker
        return breaker._counted(policy, ok, seconds, now)._judged(policy, now)

    def cancelled(self, passage: Passage) -> Breaker:
        """The call was never sent."""
        if passage.probe not in self.probes:
            return self
        return msgspec.structs.replace(self, probes=_without(self.probes, passage.probe))

    def _left(self, now: float) -> float:
        """Seconds it stays open yet; a clock that went back does not keep it open."""
        assert self.opened_at is not None
        return 0.0 if now < self.opened_at else self.opened_at + self.open_for - now

    def _without_dead_probes(self, policy: BreakerPolicy, now: float) -> Breaker:
        # one due later than that was begun by a clock that has gone back since
        if any(not now < until <= now + policy.probe_seconds for until in self.probes.values()):
            return self._opened(policy, now, "a probe never ended", again=True)
        return self

    def _after_probe(self, policy: BreakerPolicy, probe: str, passed: bool, now: float) -> Breaker:
        if probe not in self.probes:
            return self
        if not passed:
            return self._opened(policy, now, "a probe failed", again=True)
        left = _without(self.probes, probe)
        if self.passed + 1 >= policy.probes_to_close:
            return Breaker(succeeded_at=now)
        return msgspec.structs.replace(self, probes=left, passed=self.passed + 1, succeeded_at=now)

    def _counted(self, policy: BreakerPolicy, ok: bool, seconds: float, now: float) -> Breaker:
        number = int(now // (policy.window_seconds / SLOTS))
        kept = [slot for slot in self.slots if number - SLOTS < slot.number <= number]
        if not kept or kept[-1].number != number:
            kept.append(Slot(number))
        last = kept[-1]
        is_slow = seconds > policy.slow_seconds
        kept[-1] = Slot(number, last.calls + 1, last.failures + (not ok), last.slow + is_slow)
        return msgspec.structs.replace(
            self,
            slots=tuple(kept),
            in_a_row=0 if ok else self.in_a_row + 1,
            succeeded_at=now if ok else min(self.succeeded_at, now),
        )

    def _judged(self, policy: BreakerPolicy, now: float) -> Breaker:
        calls = sum(slot.calls for slot in self.slots)
        failures = sum(slot.failures for slot in self.slots)
        slow = sum(slot.slow for slot in self.slots)
        if self.in_a_row >= policy.failures_in_a_row and now - self.succeeded_at >= policy.silent_seconds:
            return self._opened(policy, now, f"{self.in_a_row} calls in a row failed")
        if calls >= policy.min_calls and failures >= policy.failure_share * calls and self.in_a_row:
            return self._opened(policy, now, f"{failures} of {calls} calls failed")
        if calls >= policy.min_calls and slow >= policy.slow_share * calls:
            return self._opened(policy, now, f"{slow} of {calls} calls were slow")
        return self

    def _opened(self, policy: BreakerPolicy, now: float, why: str, again: bool = False) -> Breaker:
        longer = min(policy.open_limit_seconds, self.open_for * 2) if again else policy.open_seconds
        return Breaker(opened_at=now, open_for=longer, why=why, succeeded_at=self.succeeded_at)


def _without(probes: dict[str, float], probe: str) -> dict[str, float]:
    return {name: until for name, until in probes.items() if name != probe}
