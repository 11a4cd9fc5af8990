"""The arithmetic of one bucket, for any sequence of amounts and pauses."""

from __future__ import annotations

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from docfleet.quota.bucket import TokenBucket

AMOUNTS = st.floats(0.1, 40)
PAUSES = st.floats(0, 20)
RATES = st.floats(0.01, 50)


@given(RATES, st.floats(1, 30), st.lists(st.tuples(PAUSES, AMOUNTS), max_size=40), st.floats(0.1, 200))
def test_in_no_span_is_more_taken_than_rate_and_burst_allow(
    rate: float, capacity: float, asks: list[tuple[float, float]], span: float
) -> None:
    now, bucket, taken = 0.0, TokenBucket.full(rate, capacity, 0.0), []
    for pause, amount in asks:
        now += pause
        if bucket.wait_for(amount, now) == 0.0:
            bucket = bucket.take(amount, now)
            taken.append((now, amount))
    for start, _ in taken:
        within = [amount for at, amount in taken if start <= at <= start + span]
        assert sum(within) <= rate * span + max(capacity, *within) + 1e-6


@given(RATES, st.floats(1, 30), AMOUNTS, st.floats(-100, 30))
def test_who_waits_as_long_as_told_is_let_in_and_not_sooner(
    rate: float, capacity: float, amount: float, level: float
) -> None:
    bucket = TokenBucket(rate, capacity, min(level, capacity), 50.0)
    seconds = bucket.wait_for(amount, 50.0)
    assert bucket.wait_for(amount, 50.0 + seconds) <= 1e-6 / rate
    if seconds > 1e-3:
        assert bucket.wait_for(amount, 50.0 + seconds * 0.99) > 0.0


@given(RATES, st.floats(1, 30), AMOUNTS, PAUSES)
def test_taking_and_giving_back_gains_nothing(rate: float, capacity: float, amount: float, pause: float) -> None:
    bucket = TokenBucket.full(rate, capacity, 0.0).take(amount, 0.0)
    back = bucket.give_back(amount, pause)
    assert back.level <= capacity
    assert back.level >= min(capacity, bucket.refilled(pause).level + amount) - 1e-9


@given(RATES, PAUSES)
def test_a_clock_that_goes_back_gives_nothing_and_blocks_nothing(rate: float, back: float) -> None:
    bucket = TokenBucket(rate, 2.0, 0.0, 1000.0)
    earlier = bucket.refilled(1000.0 - back)
    assert earlier.level == 0.0
    assert earlier.wait_for(1, 1000.0 - back) == 1 / rate


def test_an_amount_above_the_capacity_is_let_in_when_full_and_owed() -> None:
    bucket = TokenBucket.full(2.0, 2.0, 0.0)
    assert bucket.wait_for(30, 0.0) == 0.0
    assert bucket.take(30, 0.0).wait_for(30, 0.0) == 15.0


def test_another_rate_keeps_what_is_in_it() -> None:
    bucket = TokenBucket(1.0, 10.0, 4.0, 0.0).at_rate(0.5, 3.0, 2.0)
    assert (bucket.level, bucket.per_second) == (3.0, 0.5)
    assert TokenBucket(0.0, 1.0, 0.0, 0.0).wait_for(1, 99.0) == inf
