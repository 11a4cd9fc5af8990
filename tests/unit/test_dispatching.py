"""Which waiting slices go first."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from docfleet.domain.dispatching import Head, Outstanding, choose, class_of
from docfleet.domain.urgency import AGEING_SECONDS, Urgency

NOW = 1000.0


def head(
    slice_id: int,
    tenant: str = "a",
    urgency: Urgency = Urgency.NORMAL,
    *,
    document: str = "",
    waited: float = 0.0,
    deadline_at: float | None = None,
) -> Head:
    return Head(slice_id, document or f"d{slice_id}", tenant, urgency, slice_id, deadline_at, NOW - waited, "pdf")


def order(heads: list[Head], outstanding: Outstanding = Outstanding(), limit: int = 99) -> list[int]:  # noqa: B008
    return [one.slice_id for one in choose(heads, outstanding, limit, NOW)]


HEADS = st.lists(
    st.builds(
        Head,
        st.integers(1, 10**6),
        st.sampled_from(["d1", "d2", "d3"]),
        st.sampled_from("abc"),
        st.sampled_from(Urgency),
        st.integers(0, 100),
        st.none() | st.floats(0, 5000),
        st.floats(0, 1000),
        st.just("pdf"),
    ),
    max_size=30,
    unique_by=lambda one: one.slice_id,
)


@given(HEADS, st.integers(0, 40))
def test_what_is_chosen_waits_and_is_chosen_once(heads: list[Head], limit: int) -> None:
    chosen = order(heads, limit=limit)
    assert len(chosen) == len(set(chosen)) == min(limit, len(heads))
    assert set(chosen) <= {one.slice_id for one in heads}
    assert chosen == order(heads)[: len(chosen)], "a smaller window is the beginning of a larger one"
    assert chosen == order(heads[::-1], limit=limit), "the order in which they are read does not matter"


def test_the_urgent_first() -> None:
    heads = [head(n, urgency=urgency, tenant=urgency) for n, urgency in enumerate(reversed(Urgency))]
    assert order(heads) == [3, 2, 1, 0]


def test_a_near_deadline_raises_by_one_class_and_goes_first_within_it() -> None:
    near, far = NOW + 30, NOW + 5000
    assert class_of(head(1, deadline_at=near), True, NOW) == (1, "normal, deadline near")
    assert class_of(head(1, deadline_at=far), True, NOW) == (2, "normal")
    assert order([head(1), head(2, deadline_at=far), head(3, deadline_at=near)]) == [3, 2, 1]


def test_tenants_take_turns() -> None:
    heads = [head(n, "flood") for n in range(100)] + [head(200 + n, "trickle") for n in range(3)]
    assert set(order(heads, limit=6)) >= {200, 201, 202}
    assert order(heads, Outstanding({"flood": 40}), limit=3) == [200, 201, 202]


def test_documents_of_a_tenant_take_turns() -> None:
    heads = [head(n, document="long") for n in range(50)] + [head(100), head(101)]
    assert set(order(heads, Outstanding(by_document={"long": 4}), limit=2)) == {100, 101}


def test_who_waits_rises_until_something_of_it_is_under_way() -> None:
    bulk = head(1, "b", Urgency.BULK, waited=3 * AGEING_SECONDS)
    assert class_of(bulk, False, NOW)[0] == 0
    assert class_of(bulk, True, NOW)[0] == 3
    heads = [head(100 + n, "c", Urgency.CRITICAL) for n in range(20)]
    flood = [head(1 + n, "b", Urgency.BULK, waited=9999) for n in range(20)]
    first = order([*heads, *flood], Outstanding({"c": 2}, by_queue={("c", Urgency.CRITICAL): 2}), limit=10)
    assert Counter(number < 100 for number in first)[True] == 1, "it is not starved, and no more than that"


def test_an_old_flood_does_not_go_before_a_fresh_trickle() -> None:
    flood = [head(n, "flood", waited=5000) for n in range(50)]
    under_way = Outstanding({"flood": 2}, by_queue={("flood", Urgency.NORMAL): 2})
    assert order([*flood, head(99, "trickle")], under_way, limit=1) == [99]
