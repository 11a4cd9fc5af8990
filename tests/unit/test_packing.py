"""Packing: whatever waits, no page is lost or doubled, no limit passed, and nobody waits longer than allowed."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from docfleet.documentai_format import cut, join, packed, split
from docfleet.domain.document import Document, Layout, Page, Span, Token
from docfleet.domain.packing import COMING_FACTOR, MAX_WAIT_SECONDS, Item, PackLimits, halves, pack
from docfleet.domain.urgency import RANK, Urgency

NOW = 1000.0


def item(number: int, pages: int = 1, size: int = 10, **more: object) -> Item:
    given: dict[str, object] = {"urgency": Urgency.NORMAL, "tenant": "a", "key": "k", "since": NOW - 0.1} | more
    return Item(number, pages, size, **given)  # type: ignore[arg-type]


@st.composite
def waiting(draw: st.DrawFn) -> list[Item]:
    count = draw(st.integers(0, 40))
    return [
        Item(
            number,
            draw(st.integers(1, 18)),
            draw(st.integers(0, 1200)),
            draw(st.sampled_from(list(Urgency))),
            draw(st.sampled_from(["a", "b", "c"])),
            draw(st.sampled_from(["eu", "us"])),
            NOW - draw(st.floats(0, 3)),
        )
        for number in range(count)
    ]


limits_of = st.builds(
    PackLimits,
    pages=st.integers(1, 30),
    size_bytes=st.integers(50, 2000),
    overhead_bytes=st.integers(0, 60),
    share_between_tenants=st.booleans(),
    together=st.booleans(),
)


@given(waiting(), limits_of, st.booleans())
def test_every_item_stands_in_one_place_and_no_limit_is_passed(
    items: list[Item], limits: PackLimits, hurry: bool
) -> None:
    packing = pack(items, limits, NOW, hurry)
    placed = [*packing.waiting, *packing.too_large, *(one for request in packing.requests for one in request.items)]
    assert Counter(one.slice_id for one in placed) == Counter(one.slice_id for one in items)
    for request in packing.requests:
        assert 1 <= request.pages <= limits.pages
        assert sum(one.size_bytes + limits.overhead_bytes for one in request.items) <= limits.size_bytes
        assert len({one.key for one in request.items}) == 1
        assert limits.share_between_tenants or len({one.tenant for one in request.items}) == 1
        assert limits.together or len(request.items) == 1
    for one in packing.too_large:
        assert one.pages > limits.pages or one.size_bytes + limits.overhead_bytes > limits.size_bytes


@given(waiting(), limits_of)
def test_nobody_waits_longer_than_allowed(items: list[Item], limits: PackLimits) -> None:
    packing = pack(items, limits, NOW)
    for one in packing.waiting:
        assert NOW - one.since < limits.max_wait_seconds[one.urgency]
    if packing.waiting:
        assert packing.wait_until is not None
        assert packing.wait_until > NOW
        later = pack(packing.waiting, limits, packing.wait_until)
        assert later.requests
    else:
        assert packing.wait_until is None
    assert not pack(items, limits, NOW, hurry=True).waiting


@given(waiting(), limits_of)
def test_while_full_requests_wait_for_quota_others_wait_longer_and_not_for_ever(
    items: list[Item], limits: PackLimits
) -> None:
    sent = {one.slice_id for request in pack(items, limits, NOW).requests for one in request.items}
    packing = pack(items, limits, NOW, contended=True)
    for request in packing.requests:
        assert {one.slice_id for one in request.items} <= sent
        is_due = any(NOW - one.since >= _longest(one, limits) for one in request.items)
        assert is_due or request.reason in ("full", "alone")
    for one in packing.waiting:
        assert NOW - one.since < _longest(one, limits)
    assert not any(one.urgency is Urgency.CRITICAL for one in packing.waiting)


def _longest(one: Item, limits: PackLimits) -> float:
    if one.urgency is Urgency.CRITICAL:
        return 0.0
    return max(limits.max_wait_seconds[one.urgency], limits.contended_wait_seconds[one.urgency])


@given(waiting(), limits_of)
def test_the_urgent_leave_first(items: list[Item], limits: PackLimits) -> None:
    ranks = [RANK[request.urgency] for request in pack(items, limits, NOW).requests]
    assert ranks == sorted(ranks)


@given(waiting())
def test_it_does_not_depend_on_the_order_of_what_waits(items: list[Item]) -> None:
    assert pack(items, PackLimits(), NOW) == pack(items[::-1], PackLimits(), NOW)


def test_small_documents_fill_a_request() -> None:
    packing = pack([item(n, 1 + n % 3) for n in range(30)], PackLimits(pages=30), NOW)
    assert [request.pages for request in packing.requests if request.reason == "full"] == [30, 30]


def test_one_that_is_due_waits_a_little_for_those_that_are_coming() -> None:
    longest = MAX_WAIT_SECONDS[Urgency.NORMAL]
    due, urgent = item(1, since=NOW - longest), item(2, urgency=Urgency.CRITICAL, since=NOW)
    assert [one.slice_id for one in pack([due], PackLimits(), NOW, coming={"k"}).waiting] == [1]
    assert not pack([due], PackLimits(), NOW, coming={"other"}).waiting
    assert not pack([due], PackLimits(), NOW + COMING_FACTOR * longest, coming={"k"}).waiting
    assert not pack([urgent], PackLimits(), NOW, coming={"k"}).waiting


def test_one_that_is_due_takes_the_others_along() -> None:
    old = item(1, since=NOW - MAX_WAIT_SECONDS[Urgency.NORMAL])
    [request] = pack([item(2), old, item(3)], PackLimits(), NOW).requests
    assert {one.slice_id for one in request.items} == {1, 2, 3}
    assert request.reason == "due"


@given(st.lists(st.integers(1, 10), min_size=2, max_size=20))
def test_halves_are_all_of_it_and_neither_is_empty(pages: list[int]) -> None:
    items = [item(n, count) for n, count in enumerate(pages)]
    first, second = halves(items)
    assert (*first, *second) == tuple(items)
    assert first
    assert second
    largest = max(pages)
    assert abs(sum(one.pages for one in first) - sum(one.pages for one in second)) <= 2 * largest


def document(name: str, pages: int) -> Document:
    made = []
    for number in range(1, pages + 1):
        text = f"{name} {number} 😀\n"
        layout = Layout((Span(0, len(text)),), confidence=0.5)
        made.append((text, Page(number, layout=layout, tokens=(Token(layout),))))
    return join(made)


@given(waiting(), st.booleans())
def test_an_answer_to_a_packed_request_comes_apart_again(items: list[Item], share: bool) -> None:
    limits = PackLimits(pages=30, share_between_tenants=share)
    for request in pack(items, limits, NOW, hurry=True).requests:
        sent = [document(f"d{one.slice_id}", one.pages) for one in request.items]
        straddles: list[object] = []
        back = cut(packed(sent), [one.pages for one in request.items], straddles.append)
        assert not straddles
        assert [list(split(one)) for one in back] == [list(split(one)) for one in sent]
