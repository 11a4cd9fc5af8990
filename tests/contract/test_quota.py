"""What every quota does, of one process alone or counted in Redis."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from math import inf
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from docfleet.domain.quota import Grant, Quota, QuotaKey, QuotaLimits, Wait
from docfleet.quota.allowance import OWED_SECONDS, Allowance, Asked
from docfleet.quota.keys import MEMBERS, allowance_key, calls_key
from docfleet.quota.open import open_quota
from docfleet.quota.shared import _SCRIPT, _numbers
from docfleet.stack.servers import RedisServer
from quota_driver import KEY, redis_client, redis_server

Make = Callable[[QuotaLimits], Quota]
SLOW = QuotaLimits(requests_per_minute=60, headroom=0.0, burst_seconds=1.0)
"""One a second, one at a time."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(params=["local", "shared"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    if request.param == "local":
        yield lambda limits: open_quota(lambda _: limits)
        return
    running: RedisServer = request.getfixturevalue("server")
    client = redis_client(running.url)
    client.flushall()
    yield lambda limits: open_quota(lambda _: limits, client)
    client.close()


def granted(quota: Quota, **asked: Any) -> Grant:
    """The next grant, waited for."""
    for _ in range(100):
        answer = quota.ask(KEY, **asked)
        if isinstance(answer, Grant):
            return answer
        time.sleep(min(answer.seconds, 0.5))
    raise AssertionError("never granted")


def refused(quota: Quota, **asked: Any) -> Wait:
    answer = quota.ask(KEY, **asked)
    assert isinstance(answer, Wait), answer
    return answer


def test_requests_are_counted(make: Make) -> None:
    quota = make(SLOW)
    first = granted(quota)
    assert (first.key, first.requests, first.pages) == (KEY, 1, 0)
    wait = refused(quota)
    assert wait.reason == "requests"
    assert 0.5 < wait.seconds <= 1.0
    time.sleep(wait.seconds)
    assert isinstance(quota.ask(KEY), Grant), "who waits as long as told is let in"
    other = QuotaKey("project", "us", "OCR_PROCESSOR")
    assert quota.free(other) <= 1.0
    assert refused(quota).reason == "requests"


def test_pages_are_counted_and_a_large_request_is_owed(make: Make) -> None:
    quota = make(QuotaLimits(6000, 600, headroom=0.0))  # ten pages a second
    grant = granted(quota, pages=30)
    wait = refused(quota, pages=1)
    assert wait.reason == "pages"
    assert 1.5 < wait.seconds <= 2.5
    assert isinstance(quota.ask(KEY, pages=0), Grant)
    quota.refund(grant)
    assert isinstance(quota.ask(KEY, pages=5), Grant)


def test_a_refund_counts_once(make: Make) -> None:
    quota = make(SLOW)
    grant = granted(quota)
    quota.refund(grant)
    again = quota.ask(KEY)
    assert isinstance(again, Grant)
    quota.refund(grant)
    quota.failed(grant)
    assert refused(quota).reason == "requests"


def test_calls_under_way_are_bounded(make: Make) -> None:
    quota = make(QuotaLimits(concurrent=2))
    first, second = granted(quota), granted(quota)
    assert refused(quota).reason == "concurrent"
    assert quota.free(KEY) == 0.0
    quota.succeeded(first)
    third = granted(quota)
    quota.failed(second)
    quota.throttled(third, 0.1)
    time.sleep(0.12)
    assert quota.free(KEY) == 2.0


def test_who_dies_holding_a_place_gives_it_back_in_time(make: Make) -> None:
    quota = make(QuotaLimits(concurrent=1, place_seconds=0.5))
    dead = granted(quota)
    wait = refused(quota)
    assert wait.seconds <= 0.5
    time.sleep(0.55)
    alive = quota.ask(KEY)
    assert isinstance(alive, Grant)
    quota.failed(dead)
    assert refused(quota).reason == "concurrent", "the place was not the dead one's any more"
    time.sleep(0.3)
    quota.renew(alive)
    time.sleep(0.3)
    assert refused(quota).reason == "concurrent", "renewed in time"


def test_a_turn_is_booked_by_who_has_patience(make: Make) -> None:
    quota = make(SLOW)
    granted(quota)
    booked = quota.ask(KEY, patience=2.0)
    assert isinstance(booked, Grant)
    assert 0.5 < booked.after_seconds <= 1.0
    wait = refused(quota, patience=1.5)
    assert 1.5 < wait.seconds <= 2.0, "the turn after that"
    quota.refund(booked)
    assert refused(quota).seconds <= 1.0


def test_a_refusal_halves_and_a_pause_is_honoured(make: Make) -> None:
    quota = make(QuotaLimits(60, headroom=0.0))
    quota.throttled(granted(quota), retry_after=0.8)
    wait = refused(quota)
    # a token takes two seconds now
    assert 1.5 < wait.seconds <= 2.0
    assert quota.free(KEY) == 0.0
    lots = make(QuotaLimits(60_000, headroom=0.0))
    other = QuotaKey("other", "eu", "OCR_PROCESSOR")
    for _ in range(50):
        grant = lots.ask(other)
        if isinstance(grant, Grant):
            break
        time.sleep(grant.seconds)
    lots.throttled(grant, retry_after=0.8)
    paused = lots.ask(other, patience=0.1)
    assert isinstance(paused, Wait)
    assert paused.reason == "paused"
    assert 0.6 < paused.seconds <= 0.8


@pytest.mark.parametrize("retry_after", [-5.0, float("nan"), inf, 1e12, None])
def test_a_service_that_says_nonsense_stops_nothing_for_long(make: Make, retry_after: float | None) -> None:
    quota = make(QuotaLimits(60))
    quota.throttled(granted(quota), retry_after)
    assert 0.0 < refused(quota).seconds <= 600.0


def test_old_news_do_not_slow_down_again(make: Make) -> None:
    quota = make(QuotaLimits(6000, headroom=0.0, urgent_share=0.0))
    together = [granted(quota) for _ in range(8)]
    for grant in together:
        quota.throttled(grant)
    granted(quota)
    # half of a hundred a second, climbing back
    assert refused_soon(quota) <= 1 / 45


def refused_soon(quota: Quota) -> float:
    for _ in range(1000):
        answer = quota.ask(KEY)
        if isinstance(answer, Wait):
            return answer.seconds
    raise AssertionError("not limited")


def test_an_urgent_call_that_was_sent_away_is_first(make: Make) -> None:
    quota = make(QuotaLimits(60, headroom=0.0))
    while isinstance(quota.ask(KEY), Grant):
        pass
    sent_away = refused(quota, urgent=True)
    time.sleep(sent_away.seconds)
    assert refused(quota).reason == "urgent", "its turn is nobody else's"
    assert refused(quota, patience=5.0).reason == "urgent", "nor can be booked"
    assert isinstance(quota.ask(KEY, urgent=True), Grant)


def test_an_urgent_call_that_never_comes_back_costs_a_second(make: Make) -> None:
    quota = make(QuotaLimits(60, headroom=0.0))
    while isinstance(quota.ask(KEY), Grant):
        pass
    refused(quota, urgent=True)
    started = time.monotonic()
    granted(quota)
    assert time.monotonic() - started < 1.0 + OWED_SECONDS + 0.4


def test_a_share_of_the_burst_is_left_for_urgent_calls(make: Make) -> None:
    quota = make(QuotaLimits(600, burst_seconds=2.0, headroom=0.0, urgent_share=0.25))
    time.sleep(0.1)
    wait_until_full(quota)
    plain = count_granted(quota, urgent=False)
    urgent = count_granted(quota, urgent=True)
    assert 14 <= plain <= 17
    assert 4 <= urgent <= 7


def wait_until_full(quota: Quota) -> None:
    deadline = time.monotonic() + 5
    while quota.free(KEY) < 14.9 and time.monotonic() < deadline:
        time.sleep(0.1)


def count_granted(quota: Quota, urgent: bool) -> int:
    count = 0
    while isinstance(quota.ask(KEY, urgent=urgent), Grant):
        count += 1
    return count


def test_what_is_not_limited_is_not_held_up(make: Make) -> None:
    quota = make(QuotaLimits())
    assert quota.free(KEY) == inf
    for _ in range(100):
        assert isinstance(quota.ask(KEY, 3, 500), Grant)


def test_no_quota_at_all_is_a_long_wait_and_no_error(make: Make) -> None:
    quota = make(QuotaLimits(0, 0))
    for _ in range(3):
        answer = quota.ask(KEY, pages=3)
        if isinstance(answer, Wait):
            assert answer.seconds == 600.0


# --- the arithmetic here and the arithmetic in Redis are the same ---

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "ask", "ask", "ask", "late", "refund", "succeeded", "throttled", "failed", "free"]),
        st.one_of(st.floats(0, 3), st.floats(-200, 100)),
        st.integers(1, 3),
        st.integers(0, 40),
        st.booleans(),
        st.sampled_from([0.0, 0.3, 2.0]),
        st.integers(0, 5),
    ),
    max_size=40,
)
LIMITS = st.builds(
    QuotaLimits,
    st.none() | st.floats(0.5, 600),
    st.none() | st.floats(10, 6000),
    st.none() | st.integers(1, 6),
    st.floats(0, 5),
    st.floats(0, 0.5),
    st.floats(0, 1),
    st.floats(1, 60),
)


@pytest.fixture(scope="module")
def script(server: RedisServer) -> Iterator[Any]:
    client = redis_client(server.url)
    yield client.register_script(_SCRIPT)
    client.close()


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(limits=LIMITS, steps=STEPS)
def test_redis_counts_as_we_do(script: Any, limits: QuotaLimits, steps: list[Any]) -> None:
    script.registered_client.flushall()
    note(f"{limits} {steps}")
    now, state = 5_000.0, Allowance.fresh(limits, 5_000.0, full=False)
    # fills from when it is first asked after
    steps = [("free", 0.0, 1, 0, False, 0.0, 0), *steps]
    calls: dict[str, float] = {}
    known: list[tuple[str, int, int, int]] = []

    def tell(what: str, *rest: object) -> list[str]:
        keys = [allowance_key(KEY), calls_key(KEY), MEMBERS]
        said = script(keys=keys, args=[what, repr(now), *_numbers(limits), 1.0, 1.0, *rest])
        return [part.decode() for part in said]

    for number, (what, pause, requests, pages, urgent, patience, which) in enumerate(steps):
        now += pause
        calls = {call: until for call, until in calls.items() if now < until <= now + 2 * limits.place_seconds}
        call, took, carried, generation = known[which % len(known)] if known else ("none", 1, 0, 0)
        if what == "ask":
            asked = Asked(requests, pages, urgent, patience)
            state, verdict = state.ask(limits, asked, len(calls), min(calls.values(), default=inf), now)
            said = tell("ask", str(number), requests, pages, int(urgent), patience, "me")
            assert (said[0] == "1", said[2]) == (verdict.granted, "" if verdict.granted else verdict.reason)
            assert float(said[1]) == pytest.approx(verdict.seconds, rel=1e-9, abs=1e-9)
            assert int(said[3]) == state.pace.generation
            if verdict.granted:
                calls[str(number)] = now + limits.place_seconds
                known.append((str(number), requests, pages, state.pace.generation))
        elif what == "free":
            expected = state.free(limits, len(calls), now)
            assert float(tell("free")[0]) == pytest.approx(expected, rel=1e-9, abs=1e-6)
        elif what == "late":
            state = state.late(limits, pause, now)
            tell("late", pause)
        elif what == "refund":
            is_under_way = calls.pop(call, None) is not None
            state = state.refunded(limits, took, carried, now) if is_under_way else state.at_time(limits, now)
            tell("refund", call, took, carried)
        elif what == "succeeded":
            calls.pop(call, None)
            state = state.succeeded(limits, generation, now)
            tell("succeeded", call, generation)
        elif what == "throttled":
            calls.pop(call, None)
            state = state.throttled(limits, generation, pause, now)
            tell("throttled", call, generation, pause)
        else:
            calls.pop(call, None)
            state = state.at_time(limits, now)
            tell("failed", call)
