"""The dispatcher's decisions, as values: how many hints, how soon again, what is lost, when to raise the alarm."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from docfleet.dispatch.alarm import Look, gauges, judge
from docfleet.dispatch.breaker import Breaker
from docfleet.dispatch.chores import Chore, do_due
from docfleet.dispatch.pace import ACTIVE_PAUSE, SHORTEST_PAUSE, UNMANNED_WINDOW, next_pause, window_size
from docfleet.dispatch.purge import may_sweep
from docfleet.dispatch.repair import PATIENCE_SECONDS, Shortage, lost_hints, shortages
from docfleet.domain.urgency import Urgency
from docfleet.errors import BrokerUnavailable
from docfleet.stack.children import Restarts, after_end

NORMAL, BULK = Urgency.NORMAL, Urgency.BULK


def test_the_window_is_two_to_three_times_the_slots() -> None:
    assert window_size(0, 2.5) == UNMANNED_WINDOW
    assert [window_size(slots, 2.5) for slots in (1, 2, 8, 100)] == [3, 5, 20, 250]


@given(
    before=st.floats(SHORTEST_PAUSE, 1.0),
    left=st.integers(0, 300),
    size=st.integers(1, 250),
    is_full=st.booleans(),
    is_active=st.booleans(),
    tick=st.floats(0.05, 1.0),
)
def test_the_dispatcher_never_looks_too_often_nor_too_rarely(
    before: float, left: int, size: int, is_full: bool, is_active: bool, tick: float
) -> None:
    found = next_pause(min(before, tick), left, size, is_full, is_active, tick)
    assert SHORTEST_PAUSE <= found <= tick


def test_a_pool_that_drains_its_window_is_looked_at_ever_sooner() -> None:
    pause = 0.5
    for _ in range(6):
        pause = next_pause(pause, left=0, size=5, is_full=True, is_active=True, tick_seconds=0.5)
    assert pause == SHORTEST_PAUSE
    for _ in range(10):
        pause = next_pause(pause, left=5, size=5, is_full=True, is_active=True, tick_seconds=0.5)
    assert pause == 0.5
    assert next_pause(0.5, 0, 5, is_full=False, is_active=True, tick_seconds=0.5) == ACTIVE_PAUSE
    assert next_pause(0.02, 0, 5, is_full=False, is_active=False, tick_seconds=0.5) == 0.5


def test_a_shortage_counts_only_once_it_has_lasted() -> None:
    hinted = {"pdf.normal": 5, "pdf.bulk": 2}
    found = shortages({}, hinted, {"pdf.normal": 3, "pdf.bulk": 2}, now=10.0)
    assert found == {"pdf.normal": Shortage(10.0, 2)}
    waiting = [(n, NORMAL) for n in range(1, 6)] + [(8, BULK), (9, BULK)]
    assert lost_hints("pdf", waiting, found, 10.5) == []
    # hints that were merely under way arrive: what is still missing is the least that was ever missing
    found = shortages(found, hinted, {"pdf.normal": 4, "pdf.bulk": 2}, now=11.0)
    assert found == {"pdf.normal": Shortage(10.0, 1)}
    found = shortages(found, hinted, {"pdf.normal": 1, "pdf.bulk": 2}, now=10.0 + PATIENCE_SECONDS)
    assert [one.slice_id for one in lost_hints("pdf", waiting, found, 10.0 + PATIENCE_SECONDS)] == [1]


def test_lists_longer_than_the_hints_are_no_shortage() -> None:
    assert shortages({"pdf.normal": Shortage(1.0, 3)}, {"pdf.normal": 4}, {"pdf.normal": 400}, 9.0) == {}


@given(st.lists(st.sampled_from([NORMAL, BULK]), max_size=60), st.integers(0, 40), st.integers(0, 40))
def test_never_more_hints_are_sent_again_than_are_missing(
    urgencies: list[Urgency], in_normal: int, in_bulk: int
) -> None:
    waiting = list(enumerate(urgencies))
    counts = {f"pdf.{urgency}": urgencies.count(urgency) for urgency in (NORMAL, BULK)}
    lengths = {"pdf.normal": in_normal, "pdf.bulk": in_bulk}
    lost = lost_hints("pdf", waiting, shortages({}, counts, lengths, 0.0), PATIENCE_SECONDS)
    for urgency in (NORMAL, BULK):
        name = f"pdf.{urgency}"
        sent = [one.slice_id for one in lost if one.urgency is urgency]
        assert len(sent) == len(set(sent)) == max(0, counts[name] - lengths[name])


def test_the_alarm_needs_an_old_slice_and_nothing_that_drains() -> None:
    look = judge(None, 400.0, drained=False, stuck_seconds=300.0, now=1000.0)
    assert look == Look(400.0, 1000.0, False)  # it has only just begun to look
    assert not judge(look, 600.0, drained=True, stuck_seconds=300.0, now=1301.0).is_stuck  # old, but it drains
    stuck = judge(look, 701.0, drained=False, stuck_seconds=300.0, now=1301.0)
    assert stuck.is_stuck
    assert not judge(look, 10.0, drained=False, stuck_seconds=300.0, now=1301.0).is_stuck  # nothing is old
    assert not judge(stuck, None, drained=False, stuck_seconds=300.0, now=1302.0).is_stuck  # nothing waits
    assert gauges({"pdf": stuck}) == {
        'docfleet_oldest_waiting_seconds{pool="pdf"}': 701.0,
        'docfleet_pool_stuck{pool="pdf"}': 1.0,
    }


def test_a_store_that_seems_to_be_another_ledgers_is_left_alone() -> None:
    assert may_sweep(known=100, unknown=3)
    assert may_sweep(known=3, unknown=3)
    assert not may_sweep(known=3, unknown=4)
    assert not may_sweep(known=0, unknown=50)


def test_a_breaker_asks_ever_more_rarely_and_at_once_when_it_works() -> None:
    breaker = Breaker("redis")
    now, asked = 0.0, []
    while now < 30.0:
        if breaker.allows(now):
            asked.append(now)
            breaker.failed(now, BrokerUnavailable())
        now += 0.25
    pauses = [later - sooner for sooner, later in itertools.pairwise(asked)]
    assert pauses[0] <= 0.5
    assert max(pauses) <= 4.0
    assert breaker.is_open
    breaker.worked()
    assert not breaker.is_open
    assert breaker.allows(now)


def test_a_chore_that_fails_holds_up_no_other() -> None:
    done: list[str] = []

    def fail() -> None:
        done.append("failing")
        raise ZeroDivisionError("a defect")

    now = [100.0]
    chores = [Chore("failing", 1.0, fail), Chore("sound", 1.0, lambda: done.append("sound"))]
    for _ in range(8):
        do_due(chores, lambda: now[0])
        now[0] += 0.25
    assert done.count("sound") == 2
    assert 2 <= done.count("failing") <= 4


def test_a_process_that_keeps_ending_is_started_ever_more_slowly() -> None:
    restarts, pauses = Restarts(), []
    for _ in range(9):
        restarts = after_end(restarts, lived=0.1, now=50.0)
        pauses.append(restarts.due_at - 50.0)
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    assert after_end(restarts, lived=3600.0, now=50.0) == Restarts(0.0, 50.0)
