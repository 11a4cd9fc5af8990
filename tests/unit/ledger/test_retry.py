"""What becomes of failures: the policy as a pure function."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from docfleet.domain.retry import (
    Action,
    Counters,
    Failure,
    FailureKind,
    Lapse,
    RetryPolicy,
    judge_lapses,
    judge_release,
)
from docfleet.errors import EngineFailed, PasswordWrong

POLICY = RetryPolicy()
CRASH = Failure(FailureKind.CRASH, "worker_died")
LOSS = Failure(FailureKind.LOSS, "worker_died")
ERROR = Failure.of_error(EngineFailed())


def outcomes(failures: list[Failure]) -> list[tuple[Action, bool]]:
    counters, isolated, seen = Counters(), False, []
    for failure in failures:
        decision = POLICY.decide(failure, counters, 0.5, isolated)
        counters, isolated = decision.counters, decision.isolated
        seen.append((decision.action, isolated))
        if decision.action is Action.DEAD:
            break
    return seen


def test_crashes() -> None:
    assert outcomes([CRASH] * 9) == [(Action.RETRY, False), (Action.RETRY, True), (Action.DEAD, True)]


def test_errors_back_off_with_full_jitter() -> None:
    first = POLICY.decide(ERROR, Counters(), 1.0)
    second = POLICY.decide(ERROR, Counters(errors=1), 1.0)
    assert (first.delay_seconds, second.delay_seconds) == (1.0, 2.0)
    assert POLICY.decide(ERROR, Counters(errors=1), 0.25).delay_seconds == 0.5
    assert POLICY.decide(ERROR, Counters(errors=2), 1.0).action is Action.DEAD
    long_suffering = RetryPolicy(max_errors=10_000)
    assert long_suffering.decide(ERROR, Counters(errors=5000), 1.0).delay_seconds == POLICY.backoff_limit_seconds


def test_a_hopeless_error_is_dead_at_once() -> None:
    decision = POLICY.decide(Failure.of_error(PasswordWrong()), Counters(), 0.5)
    assert (decision.action, decision.counters) == (Action.DEAD, Counters(errors=1))
    assert "password_wrong" in decision.reason


def test_the_counters_do_not_mix() -> None:
    mixed = [CRASH, ERROR, ERROR, LOSS, CRASH]
    assert all(action is Action.RETRY for action, _ in outcomes(mixed))


def test_who_is_there_at_every_death_does_not_hide_for_ever() -> None:
    seen = outcomes([LOSS] * 20)
    assert [isolated for _, isolated in seen[:3]] == [False, False, True]
    assert seen[-1][0] is Action.DEAD
    assert len(seen) == 6


@given(st.integers(0, 10**6), st.floats(0, 10**6), st.booleans())
def test_waits_are_free(waits: int, seconds: float, isolated: bool) -> None:
    before = Counters(crashes=2, errors=2, waits=waits, losses=2)
    decision = POLICY.decide(Failure(FailureKind.WAIT, "quota", after_seconds=seconds), before, 0.0, isolated)
    after = decision.counters
    assert (decision.action, decision.delay_seconds, decision.isolated) == (Action.RETRY, seconds, isolated)
    assert (after.crashes, after.errors, after.losses, after.waits) == (2, 2, 2, waits + 1)


@given(st.lists(st.sampled_from([CRASH, ERROR, LOSS]), min_size=11, max_size=11))
def test_nothing_is_tried_for_ever(failures: list[Failure]) -> None:
    assert outcomes(failures)[-1][0] is Action.DEAD


def test_a_lapse_alone_is_a_crash_and_in_company_a_loss() -> None:
    alone = [Lapse(1, 100.0)]
    assert judge_lapses(alone, now=103.5) == {1: FailureKind.CRASH}
    host = [Lapse(1, 100.0), Lapse(2, 102.9), Lapse(3, 100.0)]
    assert judge_lapses(host, now=103.5) == dict.fromkeys((1, 2, 3), FailureKind.LOSS)
    apart = [Lapse(1, 100.0), Lapse(2, 110.0)]
    assert judge_lapses(apart, now=120.0) == {1: FailureKind.CRASH, 2: FailureKind.CRASH}


def test_a_lapse_is_judged_when_its_company_had_time_to_lapse() -> None:
    assert judge_lapses([Lapse(1, 100.0)], now=102.9) == {}
    assert judge_lapses([Lapse(1, 100.0), Lapse(2, 104.0)], now=103.5) == {1: FailureKind.CRASH}


@given(st.lists(st.floats(0, 40), max_size=12), st.floats(0, 50))
def test_every_lapse_is_judged_sooner_or_later_and_once(ends: list[float], now: float) -> None:
    lapses = [Lapse(n, end) for n, end in enumerate(ends)]
    early = judge_lapses(lapses, now)
    assert all(ends[n] < now for n in early)
    rest = [lapse for lapse in lapses if lapse.slice_id not in early]
    late = judge_lapses(rest, 100.0)
    assert set(early) | set(late) == set(range(len(ends)))
    for verdicts in (early, late):
        for n, kind in verdicts.items():
            near = [m for m in verdicts if m != n and abs(ends[m] - ends[n]) <= 3.0]
            assert (kind is FailureKind.LOSS) == bool(near)


def test_a_dead_worker_blames_only_what_killed_it() -> None:
    assert judge_release([1], crashed=True) == {1: FailureKind.CRASH}
    assert judge_release([1], crashed=False) == {1: FailureKind.WAIT}
    assert judge_release([1, 2], crashed=True) == {1: FailureKind.LOSS, 2: FailureKind.LOSS}
    assert judge_release([1, 2], True, working_on=[2]) == {1: FailureKind.WAIT, 2: FailureKind.CRASH}
    assert judge_release([], crashed=True) == {}
