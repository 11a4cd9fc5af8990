"""One quota as a whole: what may leave in any span of time, and who gets it."""

from __future__ import annotations

import heapq
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docfleet.domain.quota import Grant, QuotaLimits, Wait
from docfleet.quota.local import LocalQuota, share_of
from quota_driver import KEY, Clock

LIMITS = st.builds(
    QuotaLimits,
    st.floats(1, 600),
    st.none() | st.floats(10, 6000),
    st.none() | st.integers(1, 6),
    st.floats(0, 5),
    st.floats(0, 0.5),
    st.floats(0, 1),
)
ASKS = st.lists(
    st.tuples(
        st.floats(0, 5),
        st.integers(1, 3),
        st.integers(0, 40),
        st.booleans(),
        st.sampled_from([0.0, 0.5, 5.0]),
        st.sampled_from(["succeeded", "failed", "throttled", "hold"]),
    ),
    max_size=50,
)


@given(LIMITS, ASKS)
def test_never_more_than_the_quota_whatever_is_asked(
    limits: QuotaLimits, asks: list[tuple[float, int, int, bool, float, str]]
) -> None:
    clock = Clock()
    quota = LocalQuota(lambda _: limits, clock)
    sent: list[tuple[float, int, int]] = []
    for pause, requests, pages, urgent, patience, end in asks:
        clock.sleep(pause)
        answer = quota.ask(KEY, requests, pages, urgent, patience)
        if isinstance(answer, Wait):
            assert 0.0 < answer.seconds <= 600.0
            continue
        assert 0.0 <= answer.after_seconds <= patience
        sent.append((clock.now + answer.after_seconds, requests, pages))
        if end != "hold":
            getattr(quota, end)(answer)
    assert limits.requests_per_minute
    for start, _, _ in sent:
        for span in (1.0, 10.0, 60.0):
            within = [call for call in sent if start <= call[0] <= start + span]
            rate = limits.requests_per_minute / 60
            burst = max(1.0, rate * limits.burst_seconds, *(call[1] for call in within))
            assert sum(call[1] for call in within) <= rate * span + burst + 1e-6
            if limits.pages_per_minute:
                rate = limits.pages_per_minute / 60
                burst = max(1.0, rate * limits.burst_seconds, *(call[2] for call in within))
                assert sum(call[2] for call in within) <= rate * span + burst + 1e-6


@given(LIMITS, st.integers(1, 3), st.integers(0, 40))
def test_a_refund_leaves_no_trace(limits: QuotaLimits, requests: int, pages: int) -> None:
    clock = Clock()
    quota = LocalQuota(lambda _: limits, clock)
    before = quota.free(KEY)
    grant = quota.ask(KEY, requests, pages)
    assert isinstance(grant, Grant)
    quota.refund(grant)
    assert quota.free(KEY) == pytest.approx(before)


def shares(urgent: int, plain: int, limits: QuotaLimits, minutes: float = 30) -> tuple[int, int]:
    """(urgent, plain) grants to so many askers who come back as soon as they are told."""
    clock = Clock()
    quota = LocalQuota(lambda _: limits, clock)
    end = clock.now + 60 * minutes
    askers = [(clock.now + 0.01 * number, number) for number in range(urgent + plain)]
    count, late = [0, 0], random.Random(1)
    while askers[0][0] < end:
        clock.now, number = heapq.heappop(askers)
        answer = quota.ask(KEY, urgent=number < urgent)
        pause = answer.seconds + late.uniform(0.0, 0.02) if isinstance(answer, Wait) else late.uniform(0.0, 0.02)
        if isinstance(answer, Grant):
            quota.succeeded(answer)
            count[number >= urgent] += 1
        heapq.heappush(askers, (clock.now + pause, number))
    return count[0], count[1]


@pytest.mark.parametrize("per_minute", [6, 120, 6000])
def test_who_is_urgent_has_a_share_and_no_more_than_its_part_of_the_rest(per_minute: float) -> None:
    limits = QuotaLimits(per_minute, headroom=0.0, urgent_share=0.3)
    minutes = 1 if per_minute > 1000 else 30
    few, many = shares(1, 9, limits, minutes)
    assert few + many >= 0.9 * per_minute * minutes
    assert few / (few + many) >= 0.27, "one among ten has its share"
    few, many = shares(9, 1, limits, minutes)
    assert many / (few + many) >= 0.02, "and a flood of them starves nobody"
    nobody, everybody = shares(0, 3, limits, minutes)
    assert nobody == 0
    assert everybody >= 0.95 * per_minute * minutes, "what no urgent call asks for is not lost"


def test_parts_of_a_quota_are_together_not_more_than_the_whole() -> None:
    whole = QuotaLimits(120, 1200, 10)
    part = share_of(whole, 4)
    assert (part.requests_per_minute, part.pages_per_minute, part.concurrent) == (30, 300, 2)
    assert share_of(whole, 100).concurrent == 1
    assert share_of(QuotaLimits(), 3) == QuotaLimits()
