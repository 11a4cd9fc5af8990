"""From sums to work: what waits, what runs, what arrives."""

from __future__ import annotations

import pytest

from docfleet.domain.urgency import Pool, Urgency
from docfleet.domain.work import Step
from docfleet.fleet.probe import Arrivals, PoolTimes, living, pool_load, pool_times
from docfleet.ledger.fleet_values import HistoryStep, LoadSums, RunningSum, ServiceTime, WaitingSum
from docfleet.ledger.service_values import WorkerView

TIMES = PoolTimes(6.0, {Step.LOCAL: 2.0, Step.CLOUD: 0.5}, {Step.ASSEMBLE: 0.25}, 3.0)
NOTHING = Arrivals(300.0, {})


def waiting(
    step: Step,
    slices: int,
    pages: int = 0,
    urgency: Urgency = Urgency.NORMAL,
    age: float = 0.0,
    due: float | None = None,
) -> WaitingSum:
    return WaitingSum("pdf", urgency, step, slices, pages, slices if step is Step.PLAN else 0, 1, age, due)


def worker(name: str, pool: str = "pdf", seen: float = 100.0, ended: float | None = None, slots: int = 2) -> WorkerView:
    return WorkerView(name, "here", pool, "local", slots, "1", "broker", 0.0, seen, ended, "")


def history(*steps: tuple[int, float]) -> list[HistoryStep]:
    return [HistoryStep(hour * 3600, done, done, done, done, seconds) for hour, (done, seconds) in enumerate(steps)]


def test_each_step_waits_for_its_own_work() -> None:
    given = (waiting(Step.PLAN, 10), waiting(Step.LOCAL, 4, 40), waiting(Step.ASSEMBLE, 8, age=7.0))
    load = pool_load(Pool.PDF, LoadSums(50.0, given, ()), TIMES, NOTHING, [], 4.0)
    [normal] = load.classes
    assert normal.waiting_seconds == pytest.approx(10 * 6.0 + 40 * 2.0 + 8 * 0.25)
    assert (normal.waiting_documents, normal.waiting_slices, normal.waiting_pages) == (10, 22, 40)
    assert normal.oldest_seconds == 7.0
    assert normal.target_seconds == 60.0
    assert (load.workers, load.slots_per_worker, load.slice_seconds) == (0, 4.0, 3.0)


def test_the_most_urgent_comes_first_and_other_pools_are_not_counted() -> None:
    other = WaitingSum("image", Urgency.HIGH, Step.PLAN, 9, 0, 9, 0, 0.0, None)
    given = (waiting(Step.PLAN, 1, urgency=Urgency.BULK), other, waiting(Step.PLAN, 1, urgency=Urgency.CRITICAL))
    load = pool_load(Pool.PDF, LoadSums(0.0, given, ()), TIMES, NOTHING, [], 1.0)
    assert [one.urgency for one in load.classes] == [Urgency.CRITICAL, Urgency.BULK]


def test_the_nearest_deadline_counts() -> None:
    given = (waiting(Step.PLAN, 1, due=50.0), waiting(Step.LOCAL, 1, 5, due=-3.0), waiting(Step.ASSEMBLE, 1))
    load = pool_load(Pool.PDF, LoadSums(0.0, given, ()), TIMES, NOTHING, [], 1.0)
    assert load.classes[0].deadline_seconds == -3.0


def test_what_runs_is_nearly_done_but_never_quite() -> None:
    def left(elapsed: float) -> float:
        running = RunningSum("pdf", Urgency.NORMAL, Step.LOCAL, 2, 10, elapsed)
        return pool_load(Pool.PDF, LoadSums(0.0, (), (running,)), TIMES, NOTHING, [], 1.0).classes[0].running_seconds

    assert left(0.0) == pytest.approx(20.0)
    assert left(15.0) == pytest.approx(5.0)
    assert left(900.0) == pytest.approx(2.0)


def test_arrivals_are_told_apart_by_urgency() -> None:
    counts = {("pdf", "normal"): 60, ("pdf", "bulk"): 30, ("image", "normal"): 600}
    load = pool_load(Pool.PDF, LoadSums(0.0, (), ()), TIMES, Arrivals(300.0, counts), [], 1.0)
    assert load.arriving_documents == pytest.approx(0.3)
    assert load.arriving_seconds == pytest.approx(0.3 * 6.0)
    assert [one.urgency for one in load.classes] == [Urgency.NORMAL, Urgency.BULK]
    assert [one.arriving_seconds for one in load.classes] == pytest.approx([1.2, 0.6])


def test_workers_that_ended_or_went_silent_are_not_there() -> None:
    seen = [worker("a"), worker("b", "pdf,image", slots=4), worker("c", ended=99.0), worker("d", seen=60.0)]
    assert [one.name for one in living("pdf", [*seen, worker("e", "image")])] == ["a", "b"]
    load = pool_load(Pool.PDF, LoadSums(0.0, (), ()), TIMES, NOTHING, seen, 1.0)
    assert (load.workers, load.slots_per_worker) == (2, 3.0)


def test_a_new_pool_works_with_a_guess_that_the_first_documents_correct() -> None:
    assert pool_times(Pool.PDF, [], []).unit == 3.0
    assert pool_times(Pool.PDF, [], history((1, 9.0))).unit == pytest.approx(6.0)
    assert pool_times(Pool.PDF, [], history((100, 50.0))).unit == pytest.approx(0.5)


def test_the_newest_hours_tell_how_long_a_document_takes() -> None:
    slow_before = history((1000, 10_000.0), (5, 5.0), (30, 60.0))
    assert pool_times(Pool.PDF, [], slow_before).unit == pytest.approx(2.0)


def test_times_of_steps_and_pages() -> None:
    told = [
        ServiceTime("pdf", "local", "", 10.0, 50.0, 100.0, 0.0),
        ServiceTime("pdf", "plan", "", 10.0, 0.0, 5.0, 0.0),
        ServiceTime("pdf", "page", "rapidocr", 50.0, 50.0, 90.0, 0.0),
        ServiceTime("image", "local", "", 1.0, 1.0, 99.0, 0.0),
    ]
    times = pool_times(Pool.PDF, told, [])
    assert times.page == {Step.LOCAL: 2.0}
    assert times.slice == {Step.LOCAL: 10.0, Step.PLAN: 0.5}
    assert times.mean_slice == pytest.approx(105.0 / 20)
