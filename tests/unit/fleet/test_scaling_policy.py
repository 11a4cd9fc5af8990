"""What a policy decides, rule by rule, and what holds for whatever it is told."""

from __future__ import annotations

from collections import deque
from datetime import datetime
from itertools import pairwise
from math import ceil, inf, isfinite, nan, sqrt
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docfleet.domain.business_hours import floor_at
from docfleet.domain.load import Caps, ClassLoad, Outlook, PoolLoad
from docfleet.domain.scaling import ClockFloor, Decision, ScalingMemory, ScalingPolicy
from docfleet.domain.urgency import Urgency
from docfleet.errors import UsageError

POLICY = ScalingPolicy(min_workers=1, max_workers=1000)
NOW = 1_000_000.0


def waiting(
    seconds: float, urgency: Urgency = Urgency.NORMAL, target: float = 60.0, documents: int = 10, **more: float
) -> ClassLoad:
    return ClassLoad(
        urgency=urgency,
        target_seconds=target,
        waiting_documents=documents,
        waiting_slices=documents,
        waiting_pages=documents,
        waiting_seconds=seconds,
        **more,  # type: ignore[arg-type]
    )


def running(slices: int, urgency: Urgency = Urgency.NORMAL) -> ClassLoad:
    return ClassLoad(urgency=urgency, target_seconds=60.0, running_slices=slices, running_seconds=slices * 1.0)


def load(*classes: ClassLoad, workers: int = 0, arriving: float = 0.0, slots: float = 1.0) -> PoolLoad:
    return PoolLoad(
        pool="pdf",
        at=NOW,
        classes=classes,
        workers=workers,
        slots_per_worker=slots,
        arriving_documents=arriving,
        arriving_seconds=arriving,
    )


def decide(
    told: PoolLoad,
    policy: ScalingPolicy = POLICY,
    outlook: Outlook | None = None,
    caps: Caps | None = None,
    memory: ScalingMemory | None = None,
    now: float = NOW,
) -> Decision:
    return policy.decide(told, outlook, caps or Caps(), memory or ScalingMemory(), now)


def settled(
    told: PoolLoad, policy: ScalingPolicy = POLICY, outlook: Outlook | None = None, caps: Caps | None = None
) -> Decision:
    """After a few decisions on the same load: as many as are wanted of it."""
    memory, last = ScalingMemory(), None
    for number in range(40):
        last = decide(told, policy, outlook, caps, memory, NOW + number)
        memory = last.memory
    assert last is not None
    return last


def need(decision: Decision, rule: str) -> int:
    return next(one.workers for one in decision.needs if one.rule == rule)


def test_work_is_spread_over_half_of_its_target() -> None:
    assert need(decide(load(waiting(300.0), workers=10)), "target") == 10


def test_what_is_waiting_longer_than_the_live_can_do_asks_for_more_before_they_are_asked_for_again() -> None:
    few = need(decide(load(waiting(1200.0), workers=10)), "target")
    assert few > 10
    # the same while fifty are starting: those will have done it
    starting = ScalingMemory(workers=50, asked=((NOW, 50),))
    assert need(decide(load(waiting(1200.0), workers=10), memory=starting), "target") <= few


def test_bulk_may_wait_its_hour() -> None:
    bulk = waiting(36_000.0, Urgency.BULK, 3600.0, documents=90)
    assert need(decide(load(bulk, workers=1)), "target") <= ceil(36_000 / 1700)
    assert need(decide(load(waiting(36_000.0), workers=1)), "target") > 500


def test_bulk_is_done_beside_what_is_more_urgent() -> None:
    bulk = waiting(18_000.0, Urgency.BULK, 3600.0)
    urgent = waiting(0.0, documents=0, arriving_seconds=20.0)
    assert need(decide(load(urgent, bulk, workers=30, arriving=20.0)), "target") == 30


def test_what_waits_more_urgently_is_not_lost_among_the_rest() -> None:
    critical = waiting(40.0, Urgency.CRITICAL, 10.0)
    orders = [load(waiting(100.0), critical, workers=40), load(critical, waiting(100.0), workers=40)]
    assert len({need(decide(order), "target") for order in orders}) == 1


def test_a_document_that_is_too_late_asks_for_no_more_than_what_it_takes() -> None:
    late = msgspec.structs.replace(waiting(100.0), oldest_seconds=10_000.0)
    assert need(decide(load(late, workers=4)), "target") <= 8
    passed = msgspec.structs.replace(waiting(100.0), deadline_seconds=-5.0)
    assert need(decide(load(passed, workers=4)), "target") == need(decide(load(waiting(100.0), workers=4)), "target")


def test_a_near_deadline_asks_for_more_than_the_target_does() -> None:
    bulk = waiting(6000.0, Urgency.BULK, 3600.0)
    near = msgspec.structs.replace(bulk, deadline_seconds=600.0)
    assert need(decide(load(near, workers=1)), "target") > need(decide(load(bulk, workers=1)), "target")


def test_arrivals_get_room_for_their_unevenness() -> None:
    asked = need(decide(load(arriving=16.0)), "arrivals")
    assert 17 <= asked <= 20


def test_more_than_a_hundred_documents_waiting_add_workers() -> None:
    policy = msgspec.structs.replace(POLICY, min_workers=3)
    quick = [load(waiting(0.1, documents=count), workers=3) for count in (100, 101, 450)]
    assert [settled(one, policy).workers for one in quick] == [3, 4, 7]
    bulk = load(waiting(0.1, Urgency.BULK, 3600.0, documents=5000), workers=3)
    assert settled(bulk, policy).workers == 4


def test_a_trusted_forecast_is_a_floor_and_an_untrusted_one_nothing() -> None:
    quiet = load(workers=2)
    assert settled(quiet, outlook=Outlook(9.0, 12.0, True)).workers == 12
    doubted = settled(quiet, outlook=Outlook(9.0, 12.0, False, "it missed six of the last ten hours"))
    assert doubted.workers == 2
    assert "missed six" in next(one.why for one in doubted.needs if one.rule == "forecast")
    busy = load(waiting(3000.0), workers=2)
    assert settled(busy, outlook=Outlook(0.0, 0.0, True)).workers == settled(busy).workers


def test_the_clock_is_a_floor_and_begins_one_start_earlier() -> None:
    hours = ClockFloor(8, frozenset(range(5)), 8 * 60, 18 * 60, on_holidays=False)
    policy = msgspec.structs.replace(
        POLICY, floors=(hours,), timezone="Europe/Berlin", start_seconds=120.0, holidays=frozenset({"2026-12-25"})
    )

    def asked(moment: str) -> int:
        return need(decide(load(), policy, now=datetime.fromisoformat(moment).timestamp()), "clock")

    assert asked("2026-11-23T07:57:00+01:00") == 0
    assert asked("2026-11-23T07:58:30+01:00") == 8
    assert asked("2026-11-23T17:59:00+01:00") == 8
    assert asked("2026-11-23T18:00:00+01:00") == 0
    assert asked("2026-07-06T08:00:00+02:00") == 8, "summer time"
    assert asked("2026-11-22T12:00:00+01:00") == 0, "a Sunday"
    assert asked("2026-12-25T12:00:00+01:00") == 0, "a holiday"


def test_a_floor_past_midnight_belongs_to_the_day_it_began_on() -> None:
    night = ClockFloor(2, frozenset({4}), 22 * 60, 6 * 60)

    def holds(moment: str) -> bool:
        return floor_at((night,), "UTC", frozenset(), datetime.fromisoformat(moment).timestamp()) is not None

    assert holds("2026-11-27T22:00:00+00:00")
    assert holds("2026-11-28T05:59:00+00:00")
    assert not holds("2026-11-27T05:59:00+00:00")
    assert not holds("2026-11-28T06:00:00+00:00")


@pytest.mark.parametrize("moment", ["2026-10-25T00:30:00+00:00", "2026-10-25T01:30:00+00:00"])
def test_an_hour_that_is_struck_twice_counts_both_times(moment: str) -> None:
    floor = ClockFloor(2, from_minute=2 * 60, to_minute=3 * 60)
    at = datetime.fromisoformat(moment).timestamp()
    assert floor_at((floor,), "Europe/Berlin", frozenset(), at) is not None


def test_an_unknown_time_zone_is_refused_in_a_sentence() -> None:
    policy = msgspec.structs.replace(POLICY, floors=(ClockFloor(2),), timezone="Europe/Atlantis")
    with pytest.raises(UsageError, match="no time zone Europe/Atlantis"):
        decide(load(), policy)


def test_caps_hold_and_say_so() -> None:
    caps = Caps(quota_slots=7.5, budget_slots=4.0, budget_reason="3 USD are left")
    found = settled(load(waiting(90_000.0), workers=1), caps=caps)
    assert found.workers == 4
    assert [one.rule for one in found.limits] == ["budget", "quota", "maximum"]
    assert "the budget pays 4" in found.reason
    assert settled(load(waiting(1e9), workers=1)).workers == POLICY.max_workers


def test_what_is_at_work_is_not_taken_away_by_a_cap() -> None:
    memory = ScalingMemory(workers=20, asked=((NOW - 10, 20),))
    found = decide(load(running(9), workers=20), caps=Caps(quota_slots=2.0), memory=memory)
    assert found.workers == 9


def test_the_way_up_is_quick_but_not_all_at_once() -> None:
    told = load(waiting(90_000.0), workers=10)
    memory = ScalingMemory(workers=10, asked=((NOW, 10),))
    sizes = []
    for number in range(7):
        found = decide(told, memory=memory, now=NOW + 5 * number)
        memory = found.memory
        sizes.append(found.workers)
    assert sizes == [20, 40, 80, 160, 320, 640, 1000]
    assert need(found, "target") > 1000


def test_the_way_down_waits_and_then_takes_a_tenth_a_minute() -> None:
    memory = ScalingMemory(workers=50, asked=((NOW, 50),))
    sizes = {}
    for second in range(0, 1200, 10):
        found = decide(load(workers=memory.workers), memory=memory, now=NOW + second)
        memory = found.memory
        sizes[second] = found.workers
    assert sizes[290] == 50
    assert sizes[320] < 50
    for second in range(300, 1130, 10):
        assert sizes[second] - sizes[second + 50] <= max(1, 0.1 * sizes[second])
    assert sizes[1190] < 26


def test_a_pool_that_may_sleep_does_and_wakes_at_once() -> None:
    policy = msgspec.structs.replace(POLICY, scale_to_zero=True, min_workers=1, idle_seconds=120.0)
    memory, sizes = ScalingMemory(), []
    for number in range(100):
        found = decide(load(workers=1), policy, memory=memory, now=NOW + 10 * number)
        memory = found.memory
        sizes.append(found.workers)
    assert sizes[0] == 1
    assert sizes[-1] == 0
    woken = decide(load(waiting(0.0, documents=1)), policy, memory=memory, now=NOW + 1001)
    assert woken.workers == 1
    never = msgspec.structs.replace(policy, scale_to_zero=False)
    assert decide(load(workers=1), never, memory=memory, now=NOW + 1001).workers == 1


def test_the_reason_is_one_line_with_figures() -> None:
    told = load(waiting(60_000.0, documents=4210), workers=12, arriving=10.0)
    memory = ScalingMemory(workers=12, asked=((NOW, 12),))
    policy = msgspec.structs.replace(POLICY, start_seconds=1200.0)
    found = decide(told, policy, Outlook(13.8, 19.0, True), memory=memory)
    assert found.reason.startswith("12 → 24 pdf workers: 4,210 pages waiting, forecast +38 % in 20 min")
    assert "\n" not in found.reason
    assert all(one.why for one in (*found.needs, *found.limits))


finite = st.floats(0, 1e6)
weird = st.one_of(finite, st.sampled_from([nan, inf, -inf, -5.0]))
URGENCIES = [(Urgency.CRITICAL, 10.0), (Urgency.HIGH, 30.0), (Urgency.NORMAL, 60.0), (Urgency.BULK, 3600.0)]


@st.composite
def loads(draw: st.DrawFn, numbers: st.SearchStrategy[float] = finite) -> PoolLoad:
    classes = [
        ClassLoad(
            urgency=urgency,
            target_seconds=target,
            waiting_documents=draw(st.integers(0, 10_000)),
            waiting_slices=draw(st.integers(0, 10_000)),
            waiting_seconds=draw(numbers),
            running_slices=draw(st.integers(0, 200)),
            running_seconds=draw(numbers),
            oldest_seconds=draw(numbers),
            deadline_seconds=draw(st.none() | numbers),
            arriving_seconds=draw(numbers),
        )
        for urgency, target in URGENCIES
        if draw(st.booleans())
    ]
    return PoolLoad(
        pool="pdf",
        at=NOW,
        classes=tuple(classes),
        workers=draw(st.integers(0, 300)),
        slots_per_worker=draw(st.sampled_from([1.0, 4.0])),
        arriving_documents=draw(numbers),
        arriving_seconds=draw(numbers),
        slice_seconds=draw(numbers),
    )


@st.composite
def memories(draw: st.DrawFn) -> ScalingMemory:
    times = st.floats(NOW - 1e4, NOW + 1e4)
    return ScalingMemory(
        workers=draw(st.integers(0, 300)),
        asked=tuple(draw(st.lists(st.tuples(times, st.integers(0, 300)), max_size=4))),
        idle_since=draw(st.none() | times),
        lowered_at=draw(st.none() | times),
    )


policies = st.builds(
    ScalingPolicy,
    min_workers=st.integers(0, 5),
    max_workers=st.integers(5, 200),
    scale_to_zero=st.booleans(),
)


@given(loads(weird), memories(), policies, weird, weird, weird)
@settings(max_examples=300, deadline=None)
def test_whatever_it_is_told_it_stays_within_its_caps_and_spares_what_is_at_work(
    told: PoolLoad, memory: ScalingMemory, policy: ScalingPolicy, quota: float, budget: float, forecast: float
) -> None:
    caps = Caps(quota_slots=quota, budget_slots=budget)
    found = policy.decide(told, Outlook(forecast, forecast, True), caps, memory, NOW)
    busy = ceil(told.running_slices / told.slots_per_worker)
    limits = [policy.max_workers]
    limits += [
        max(policy.min_workers, ceil(max(0.0, slots) / told.slots_per_worker))
        for slots in (quota, budget)
        if isfinite(slots)
    ]
    assert 0 <= found.workers <= max(min(limits), min(found.before, busy))
    if found.workers < found.before:
        assert found.workers >= min(busy, found.before)
    assert "nan" not in found.reason
    assert all("nan" not in one.why for one in (*found.needs, *found.limits))
    assert policy.decide(told, Outlook(forecast, forecast, True), caps, memory, NOW) == found


@given(loads(), memories(), policies, st.floats(0, 1e6), st.integers(0, 5000))
@settings(max_examples=300, deadline=None)
def test_more_waiting_never_asks_for_fewer(
    told: PoolLoad, memory: ScalingMemory, policy: ScalingPolicy, more: float, documents: int
) -> None:
    if not told.classes:
        return
    first, *rest = told.classes
    fuller = msgspec.structs.replace(
        first,
        waiting_seconds=first.waiting_seconds + more,
        waiting_documents=first.waiting_documents + documents,
        waiting_slices=first.waiting_slices + documents,
    )
    grown = msgspec.structs.replace(told, classes=(fuller, *rest))
    before = policy.decide(told, None, Caps(), memory, NOW)
    assert policy.decide(grown, None, Caps(), memory, NOW).workers >= before.workers


@given(loads(), policies)
@settings(max_examples=100, deadline=None)
def test_without_any_memory_it_finds_the_same_size(told: PoolLoad, policy: ScalingPolicy) -> None:
    stale = ScalingMemory(workers=77, asked=((NOW - 1e5, 77),), idle_since=NOW - 1e5, lowered_at=NOW - 1e5)
    sizes = []
    for memory in (ScalingMemory(), stale):
        # the minimum of an idle pool depends on how long it is idle, so that is made the same
        memory = msgspec.structs.replace(memory, idle_since=None)
        sizes.append(policy.decide(told, None, Caps(), memory, NOW).workers)
    assert sizes[0] == sizes[1]


@given(st.integers(0, 2**31), st.floats(5.0, 80.0))
@settings(max_examples=25, deadline=None)
def test_noise_around_a_constant_load_makes_no_flapping(seed: int, busy: float) -> None:
    noise = Random(seed)
    memory, sizes = ScalingMemory(), []
    # Poisson arrivals of uneven documents of a second, counted over the last five minutes
    arrived = deque([busy * 15.0] * 20, 20)
    for number in range(480):
        live = memory.workers
        arrived.append(noise.gauss(busy * 15, sqrt(2 * busy * 15)))
        rate = sum(arrived) / 300
        told = load(running(int(rate)), waiting(abs(noise.gauss(0, 5))), workers=live, arriving=rate)
        found = decide(told, memory=memory, now=NOW + 15 * number)
        memory = found.memory
        sizes.append(found.workers)
    late = sizes[60:]
    changes = [(number, after - before) for number, (before, after) in enumerate(pairwise(late)) if before != after]
    assert len(changes) <= 15, late
    for (first, up), (second, down) in pairwise(changes):
        if up > 0 > down:
            assert 15 * (second - first) >= POLICY.down_window_seconds, late
    assert max(late) - min(late) <= max(2, 0.15 * busy)


def test_a_clock_that_jumps_back_neither_sheds_workers_nor_freezes_them() -> None:
    memory = ScalingMemory(workers=30, asked=((NOW, 30),), lowered_at=NOW)
    quiet = load(workers=30)
    back = NOW - 86_400
    first = decide(quiet, memory=memory, now=back)
    assert first.workers == 30
    memory = first.memory
    for number in range(60):
        found = decide(quiet, memory=memory, now=back + 30 * number)
        memory = found.memory
    assert found.workers < 20
