"""When an endpoint is given up, and how it comes back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from docfleet.domain.quota import BreakerState, Passage
from docfleet.quota.breaker import Breaker, BreakerPolicy

POLICY = BreakerPolicy()
CLOSED = Passage(True, BreakerState.CLOSED)


def after(breaker: Breaker, outcomes: str, now: float = 1000.0, every: float = 0.5) -> tuple[Breaker, float]:
    """`.` a success, `x` a failure, `s` a slow success."""
    for outcome in outcomes:
        now += every
        seconds = POLICY.slow_seconds + 1 if outcome == "s" else 1.0
        breaker = breaker.recorded(POLICY, CLOSED, outcome != "x", seconds, now)
    return breaker, now


def is_open(outcomes: str, every: float = 0.5) -> bool:
    breaker, now = after(Breaker(), outcomes, every=every)
    return breaker.state(now) is BreakerState.OPEN


def test_what_opens_it() -> None:
    assert is_open("." * 10 + "x" * 10)
    assert is_open("s" * 10)
    assert not is_open("." * 100)
    assert not is_open(".x" * 4 + "...." * 10)
    assert not is_open("xx"), "two failures are chance"
    assert is_open("xxx"), "three, and nothing has ever worked"
    assert not is_open("....xxx....xxx...."), "three in a row among many that work"
    assert is_open("..xxx", every=5), "few calls, and silence"
    assert not is_open("." * 20 + "s" * 10)


def test_old_failures_are_forgotten() -> None:
    breaker, now = after(Breaker(), "." * 30 + "x" * 5, every=0.1)
    assert breaker.state(now) is BreakerState.CLOSED
    breaker, now = after(breaker, "." + "x.x.x.x.", now + 2 * POLICY.window_seconds, every=0.1)
    assert sum(slot.failures for slot in breaker.slots) == 4


def test_probes_are_bounded_and_close_it() -> None:
    breaker, now = after(Breaker(), "xxx")
    breaker, refused = breaker.may_call(POLICY, now, "early")
    assert not refused
    assert 0 < refused.seconds <= POLICY.open_seconds
    now += POLICY.open_seconds
    assert breaker.state(now) is BreakerState.HALF_OPEN
    breaker, first = breaker.may_call(POLICY, now, "one")
    breaker, second = breaker.may_call(POLICY, now, "two")
    breaker, third = breaker.may_call(POLICY, now, "three")
    assert (bool(first), first.probe, bool(second), bool(third)) == (True, "one", True, False)
    breaker = breaker.cancelled(second)
    breaker, again = breaker.may_call(POLICY, now, "four")
    assert again.probe == "four"
    breaker = breaker.recorded(POLICY, first, True, 1.0, now)
    assert breaker.state(now) is BreakerState.HALF_OPEN
    breaker = breaker.recorded(POLICY, again, True, 1.0, now)
    assert breaker.state(now) is BreakerState.CLOSED


def test_a_failed_probe_opens_it_for_twice_as_long_up_to_a_limit() -> None:
    breaker, now = after(Breaker(), "xxx")
    spans = []
    for number in range(6):
        now += breaker.open_for
        breaker, probe = breaker.may_call(POLICY, now, str(number))
        breaker = breaker.recorded(POLICY, probe, number % 2 == 0, POLICY.slow_seconds + 1, now)
        spans.append(breaker.open_for)
    assert spans == [10, 20, 40, 60, 60, 60], "a slow probe is no better than a failed one"


def test_a_probe_whose_sender_died_does_not_hold_it_for_ever() -> None:
    breaker, now = after(Breaker(), "xxx")
    now += POLICY.open_seconds
    breaker, _ = breaker.may_call(POLICY, now, "dead")
    breaker, _ = breaker.may_call(POLICY, now, "dead too")
    now += POLICY.probe_seconds
    breaker, refused = breaker.may_call(POLICY, now, "later")
    assert not refused
    now += refused.seconds
    breaker, probe = breaker.may_call(POLICY, now, "alive")
    assert probe.probe == "alive"


def test_late_news_change_nothing() -> None:
    breaker, now = after(Breaker(), "xxx")
    assert breaker.recorded(POLICY, CLOSED, True, 1.0, now) == breaker
    stray = Passage(True, BreakerState.HALF_OPEN, probe="of another time")
    assert breaker.recorded(POLICY, stray, True, 1.0, now) == breaker
    assert breaker.cancelled(stray) == breaker


STEPS = st.lists(
    st.tuples(st.sampled_from(["ask", "ok", "fail", "slow", "cancel"]), st.floats(-3600, 200)), max_size=60
)


@given(STEPS)
def test_whatever_happens_and_whatever_the_clock_does_it_can_come_back(steps: list[tuple[str, float]]) -> None:
    now, breaker, passages = 10_000.0, Breaker(), [CLOSED]
    for number, (what, pause) in enumerate(steps):
        now += pause
        if what == "ask":
            breaker, passage = breaker.may_call(POLICY, now, str(number))
            assert len(breaker.probes) <= POLICY.probes
            if passage:
                passages.append(passage)
            else:
                assert 0.0 < passage.seconds <= POLICY.open_limit_seconds
        elif what == "cancel":
            breaker = breaker.cancelled(passages[-1])
        else:
            seconds = POLICY.slow_seconds + 1 if what == "slow" else 1.0
            breaker = breaker.recorded(
                POLICY, passages.pop() if len(passages) > 1 else CLOSED, what != "fail", seconds, now
            )
    # the endpoint works again, and nobody who held a probe is left
    for number in range(20):
        now += 130.0
        breaker, passage = breaker.may_call(POLICY, now, f"good {number}")
        if passage:
            breaker = breaker.recorded(POLICY, passage, True, 1.0, now)
    assert breaker.state(now) is BreakerState.CLOSED
