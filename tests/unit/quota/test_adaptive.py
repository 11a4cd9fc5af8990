"""A service whose real quota is lower than the one configured: the pace finds it and stays just below."""

from __future__ import annotations

import heapq
import random
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from docfleet.domain.quota import Grant, QuotaLimits, Wait
from docfleet.quota.adaptive import LOWEST, Pace, lowest_factor
from docfleet.quota.local import LocalQuota
from quota_driver import KEY, Clock, MinuteService, Service


class Fleet:
    """Callers that are never short of work, in virtual time. Answers come after a while, refusals at once."""

    def __init__(
        self, limits: QuotaLimits, service: Service, clock: Clock, seed: int = 1, travel: float = 0.02
    ) -> None:
        self.clock, self.service = clock, service
        self.quota = LocalQuota(lambda _: limits, clock)
        self.retry_after: float | None = None
        self._random = random.Random(seed)
        self._travel = travel
        self._order = count()
        self._events: list[tuple[float, int, str, Grant | None]] = [(clock.now, 0, "ask", None)]

    def run(self, seconds: float) -> None:
        end = self.clock.now + seconds
        while self._events[0][0] <= end:
            at, _, what, grant = heapq.heappop(self._events)
            self.clock.now = at
            getattr(self, f"_{what}")(grant)
        self.clock.now = end

    def _at(self, seconds: float, what: str, grant: Grant | None) -> None:
        heapq.heappush(self._events, (self.clock.now + seconds, next(self._order), what, grant))

    def _ask(self, _: Grant | None) -> None:
        answer = self.quota.ask(KEY, patience=0.25)
        if isinstance(answer, Wait):
            # back from the ledger a little later than could be
            self._at(answer.seconds * self._random.uniform(1.0, 1.02), "ask", None)
            return
        self._at(answer.after_seconds + self._random.uniform(0, self._travel), "arrive", answer)
        self._at(0.0, "ask", None)

    def _arrive(self, grant: Grant | None) -> None:
        if self.service.call(self.clock.now):
            self._at(self._random.uniform(5, 15), "succeed", grant)
        else:
            self._at(0.05, "refuse", grant)

    def _succeed(self, grant: Grant | None) -> None:
        assert grant
        self.quota.succeeded(grant)

    def _refuse(self, grant: Grant | None) -> None:
        assert grant
        self.quota.throttled(grant, self.retry_after)


@pytest.mark.parametrize("counted", ["tokens", "minutes"])
@pytest.mark.parametrize(
    ("configured", "share"), [(120, 0.6), (120, 0.25), (120, 0.05), (600, 0.6), (12, 0.6), (10, 0.6)]
)
def test_finds_a_hidden_quota_and_is_hardly_ever_refused(configured: float, share: float, counted: str) -> None:
    clock = Clock()
    real = int(configured * share) if counted == "minutes" else configured * share
    service = Service(real, 1.0, clock.now) if counted == "tokens" else MinuteService(real)
    fleet = Fleet(QuotaLimits(configured), service, clock, travel=0.05)
    fleet.run(max(600.0, 60 * 600 / real))  # ten minutes, and 600 calls, to learn
    learnt, met = len(service.taken), len(service.refused)
    minutes = 2000 / real
    fleet.run(60 * minutes)
    rate = (len(service.taken) - learnt) / minutes
    refused = len(service.refused) - met
    calls = len(service.taken) - learnt
    print(f"{configured}/min, real {real:g} by {counted}: {rate / real:.3f} of it, {refused} of {calls} refused")
    assert 0.95 <= rate / real <= 1.05
    assert refused <= calls / 200


def test_without_a_hidden_quota_nothing_is_refused_and_the_headroom_is_all_that_is_lost() -> None:
    clock = Clock()
    service = Service(12, 1.0, clock.now)
    fleet = Fleet(QuotaLimits(12), service, clock)
    fleet.run(3600)
    assert not service.refused
    assert len(service.taken) >= 0.96 * 12 * 60


def test_a_quota_that_is_raised_is_found() -> None:
    clock = Clock()
    low = Service(60, 1.0, clock.now)
    fleet = Fleet(QuotaLimits(120), low, clock)
    fleet.run(1200)
    high = fleet.service = Service(1000, 1.0, clock.now)
    fleet.run(1800)
    before = len(high.taken)
    fleet.run(300)
    assert (len(high.taken) - before) / 5 >= 0.95 * 120 * 0.98


def test_a_storm_is_over_soon_after_it_ends() -> None:
    clock = Clock()
    calm = Service(1000, 1.0, clock.now)
    fleet = Fleet(QuotaLimits(120), calm, clock)
    fleet.run(300)
    storm = fleet.service = Service(1e-9, 1.0, clock.now)
    storm.call(clock.now)
    fleet.run(300)
    # slower and slower while nothing passes, but never silent
    assert 5 <= len(storm.refused) <= 60
    fleet.service = calm
    fleet.run(60)
    before = len(calm.taken)
    fleet.run(60)
    soon = len(calm.taken) - before
    fleet.run(480)
    before = len(calm.taken)
    fleet.run(60)
    later = len(calm.taken) - before
    print(f"storm: {len(storm.refused)} refused, {soon} in the second minute after it, {later} in the eleventh")
    assert soon >= 0.3 * 120
    assert later >= 0.9 * 0.98 * 120


def test_what_the_service_says_to_wait_is_waited() -> None:
    clock = Clock()
    service = Service(1e-9, 1.0, clock.now)
    service.call(clock.now)
    fleet = Fleet(QuotaLimits(120), service, clock)
    fleet.retry_after = 30.0
    fleet.run(600)
    gaps = [later - sooner for sooner, later in zip(service.refused, service.refused[1:], strict=False)]
    # those that were under way at the first refusal aside
    assert min(gaps[5:]) >= 29.0


@given(st.lists(st.tuples(st.booleans(), st.integers(-1, 3), st.booleans()), max_size=200))
def test_the_pace_stays_within_its_bounds(steps: list[tuple[bool, int, bool]]) -> None:
    pace = Pace()
    for refused, behind, pressed in steps:
        generation = pace.generation - behind
        after = pace.throttled(generation) if refused else pace.succeeded(generation, pressed)
        assert LOWEST <= after.factor <= 1.0
        assert LOWEST <= after.ceiling <= 1.0
        if behind > 0:
            assert after in (pace, replace(pace, passed=True)), "old news change nothing"
        elif refused:
            assert after.factor == max(LOWEST, pace.factor / 2)
        else:
            assert after.factor >= pace.factor
        pace = after


def test_calls_under_way_together_slow_down_once() -> None:
    pace = Pace()
    for _ in range(20):
        pace = pace.throttled(0)
    assert pace.factor == 0.5


def test_a_rate_that_nobody_used_is_not_proved() -> None:
    pace = Pace(0.98, 1.0)
    for _ in range(1000):
        pace = pace.succeeded(0, pressed=False)
    assert pace.factor == 0.98


def test_a_call_a_minute_is_always_tried() -> None:
    assert lowest_factor(6) == 1 / 6
    assert lowest_factor(0.5) == 1.0
    assert lowest_factor(1200) == LOWEST
    assert lowest_factor(None) == LOWEST
