"""Which worker processes are started and drained, by the numbers alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docfleet.cli.up import pool_line
from docfleet.stack.autoscaling import PoolStanding
from docfleet.stack.sizing import Bounds, RunningWorker, SizeChange, plan_pool, room_left, sensible_most

WIDE = Bounds(0, 100)


def crew(*busy: int | None) -> list[RunningWorker]:
    """Workers w0, w1 … started in this order; None: not ready yet."""
    return [RunningWorker(f"w{n}", float(n), slices is not None, slices or 0) for n, slices in enumerate(busy)]


def test_a_pool_grows_by_what_the_machine_can_start() -> None:
    assert plan_pool(crew(1), 8, WIDE, room=2) == SizeChange(start=2)
    assert plan_pool(crew(1, None, None), 8, WIDE, room=0) == SizeChange()
    assert plan_pool(crew(1, None), 8, WIDE, room=-3) == SizeChange()
    assert plan_pool(crew(1, 1), 3, WIDE, room=9) == SizeChange(start=1)


def test_a_worker_that_cannot_start_holds_up_nobody() -> None:
    failing = RunningWorker("w9", 9.0, is_ready=False, has_failed=True)
    assert room_left(crew(1, None, None), 4) == 2
    assert room_left([*crew(1, None, None), failing], 4) == 2
    assert room_left(crew(None, None, None), 2) == -1


def test_those_leave_first_who_leave_least_undone() -> None:
    """Not ready, then at the fewest slices, then the newest."""
    assert plan_pool(crew(2, 0, 0, None), 3, WIDE, 2).drain == ("w3",)
    assert plan_pool(crew(2, 0, 0, None), 2, WIDE, 2).drain == ("w3", "w2")
    assert plan_pool(crew(2, 1, 1), 1, WIDE, 2).drain == ("w2", "w1")
    assert plan_pool(crew(0, 2), 1, WIDE, 2).drain == ("w0",)


def test_nobody_knows_what_is_wanted() -> None:
    """The ledger is away, or nothing was decided yet: what runs keeps running."""
    assert plan_pool(crew(1, 0, 0, 0), None, Bounds(1, 2), 9) == SizeChange()
    assert plan_pool([], None, Bounds(2, 4), 9) == SizeChange(start=2)


def test_bounds_of_the_machine_stand_over_any_decision() -> None:
    assert plan_pool(crew(0), 50, Bounds(1, 4), 99) == SizeChange(start=3)
    assert plan_pool(crew(0, 0), 0, Bounds(1, 4), 99).drain == ("w1",)
    assert plan_pool(crew(0), 0, Bounds(0, 4), 99).drain == ("w0",)


@given(
    st.lists(st.one_of(st.none(), st.integers(0, 5)), max_size=12),
    st.one_of(st.none(), st.integers(-2, 30)),
    st.tuples(st.integers(0, 5), st.integers(0, 15)),
    st.integers(-5, 5),
)
def test_whatever_is_asked_it_ends_at_the_size(
    busy: list[int | None], wanted: int | None, bounds: tuple[int, int], room: int
) -> None:
    least, most = bounds[0], sum(bounds)
    running = crew(*busy)
    change = plan_pool(running, wanted, Bounds(least, most), room)
    assert not (change.start and change.drain)
    assert len(set(change.drain)) == len(change.drain)
    assert set(change.drain) <= {one.name for one in running}
    after = len(running) + change.start - len(change.drain)
    if wanted is None:
        assert after >= len(running)
    else:
        target = max(least, min(wanted, most))
        assert after == target or (len(running) <= after < target and change.start == max(0, room))


@pytest.mark.parametrize(
    ("cores", "gigabytes", "slots", "most"), [(8, 64, 1, 8), (8, 4, 1, 4), (8, 64, 2, 4), (2, 1, 4, 1), (1, 0, 1, 1)]
)
def test_what_a_machine_has_use_for(cores: int, gigabytes: int, slots: int, most: int) -> None:
    assert sensible_most(cores, gigabytes << 30, slots) == most


@pytest.mark.parametrize(
    ("standing", "line"),
    [
        (
            PoolStanding("pdf", 3, 8, 0, "3 → 8 pdf workers: 412 pages waiting"),
            "pdf 3/8 workers (growing: 412 pages waiting)",
        ),
        (PoolStanding("pdf", 3, 8), "pdf 3/8 workers (growing)"),
        (PoolStanding("pdf", 2, 2, 1, "3 → 2 pdf workers: idle"), "pdf 2/2 workers (1 draining: idle)"),
        (PoolStanding("pdf", 2, 2, 0, "2 pdf workers: busy"), "pdf 2/2 workers"),
    ],
)
def test_the_status_line(standing: PoolStanding, line: str) -> None:
    assert pool_line(standing) == line
