"""When workers turn away from the broker and back, and when they count as stalled."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from docfleet.worker.breaker import FAILURES_TO_OPEN, GOODS_TO_CLOSE, Breaker, Stall


def after(*looks: bool) -> list[bool]:
    """Whether the breaker is open after each look."""
    breaker, states = Breaker(), []
    for look in looks:
        breaker = breaker.after(look)
        states.append(breaker.is_open)
    return states


def test_the_third_failure_in_a_row_opens_it() -> None:
    assert after(False, False, False) == [False, False, True]
    assert after(False, False, True, False, False, True) == [False] * 6


def test_the_second_good_look_in_a_row_closes_it() -> None:
    assert after(False, False, False, True, False, True, True) == [False, False, True, True, True, True, False]


@given(st.lists(st.booleans(), max_size=60))
def test_it_never_changes_more_often_than_the_streaks_allow(looks: list[bool]) -> None:
    states = [False, *after(*looks)]
    changes = [index for index, (a, b) in enumerate(pairwise(states)) if a is not b]
    for at in changes:
        length = FAILURES_TO_OPEN if states[at + 1] else GOODS_TO_CLOSE
        assert looks[at - length + 1 : at + 1] == [not states[at + 1]] * length


def test_a_broker_that_comes_and_goes_every_second_changes_nothing() -> None:
    assert not any(after(*[True, False] * 30))


def test_hints_that_wait_beside_a_free_slot_are_a_stall_only_when_it_lasts() -> None:
    stall = Stall().after(0, waiting=3, idle_slots=1, taken=7).after(29, waiting=1, idle_slots=2, taken=7)
    assert not stall.lasts(29, 30)
    assert stall.lasts(30, 30)
    assert not stall.after(30, waiting=0, idle_slots=2, taken=7).lasts(61, 30)
    assert not stall.after(30, waiting=9, idle_slots=1, taken=8).lasts(61, 30)
    assert not Stall().lasts(100, 30)
    assert not Stall().after(0, waiting=9, idle_slots=0, taken=0).lasts(100, 30)


def test_a_slot_that_found_work_by_itself_hides_no_stall_but_is_not_broken_off() -> None:
    stall = Stall().after(0, waiting=3, idle_slots=1, taken=7).after(31, waiting=3, idle_slots=0, taken=7)
    assert not stall.lasts(31, 30)
    assert stall.after(32, waiting=3, idle_slots=1, taken=7).lasts(32, 30)
