"""Listing documents: names in any case, both orders, and pages that say how far they looked."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from desk_driver import submission
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from docfleet.domain.urgency import Urgency
from docfleet.domain.work import DocumentState
from docfleet.errors import BadRequest
from docfleet.ledger import Ledger, listing
from docfleet.ledger.desk import Desk
from docfleet.ledger.names import regex_of
from docfleet.ledger.service_values import DocumentFilter, Listing

NAMES = [
    "Ärzte.PDF",
    "a\u0308rzte-alt.pdf",
    "Straße 5.pdf",
    "ΛΌΓΟΣ.txt",
    "λόγος.txt",
    "Ёлка.jpg",
    "[a-c]*?_/%.png",
    "k\u212a.tif",
]


def test_part_of_a_name_is_found_in_any_case_on_every_database(desk: Desk) -> None:
    ids = {name: desk.accept(submission(name=name)).document_id for name in NAMES}

    def found(part: str) -> set[str]:
        there = {view.id for view in desk.documents("acme", DocumentFilter(name_contains=part)).items}
        return {name for name, id_ in ids.items() if id_ in there}

    for part in ("ärzte", "ÄRZTE", "a\u0308rz", "A\u0308RZTE"):
        assert found(part) == set(NAMES[:2]), part
    assert found("STRAßE") == {NAMES[2]} == found("straẞe")
    assert found("strasse") == set()
    assert found("Λόγος") == {NAMES[3], NAMES[4]} == found("λόγοσ")
    assert found("ёЛКА.J") == {NAMES[5]}
    assert found("[a-c]") == {NAMES[6]} == found("*?") == found("]*")
    assert found("a-b") == set() == found("^") == found(".*")
    assert found("/%") == {NAMES[6]} == found("?_")
    assert found("%") == {NAMES[6]} == found("_")
    assert found("K.tif") == set()
    assert found("\u212a.TIF") == {NAMES[7]}
    assert found(".pdf") == set(NAMES[:3])


@given(st.text(max_size=20))
def test_every_name_is_a_pattern_that_finds_itself_and_its_cases(name: str) -> None:
    for written in (
        name,
        "".join(c.swapcase() if len(c.swapcase()) == 1 == len(c.swapcase().swapcase()) else c for c in name),
    ):
        if written.casefold() == name.casefold():
            assert re.search(regex_of(name), written)


def walked(desk: Desk, wanted: DocumentFilter, limit: int = 2) -> tuple[list[str], list[Listing]]:
    pages = [desk.documents("acme", wanted, None, limit)]
    while pages[-1].next_cursor is not None:
        pages.append(desk.documents("acme", wanted, pages[-1].next_cursor, limit))
    return [view.id for page in pages for view in page.items], pages


def test_the_oldest_come_first_where_this_is_asked_for(desk: Desk) -> None:
    made = [desk.accept(submission(labels={"a": "1"})).document_id for _ in range(5)]
    desk.cancel("acme", made[2])
    for wanted in ({}, {"labels": {"a": "1"}}, {"states": (DocumentState.RECEIVED, DocumentState.CANCELLED)}):
        assert walked(desk, DocumentFilter(oldest_first=True, **wanted))[0] == made  # type: ignore[arg-type]
        assert walked(desk, DocumentFilter(**wanted))[0] == made[::-1]  # type: ignore[arg-type]
    cursor = desk.documents("acme", DocumentFilter(oldest_first=True), None, 1).next_cursor
    with pytest.raises(BadRequest):
        desk.documents("acme", DocumentFilter(), cursor, 1)


def test_a_page_looks_only_so_far_and_says_so(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "LOOKED_THROUGH", 4)
    batch = desk.open_batch("acme", "inbox").id
    made = []
    for number in range(11):
        name, urgency = (
            ("rare.pdf" if number in (0, 9) else "often.pdf"),
            (Urgency.CRITICAL, Urgency.NORMAL)[number != 9],
        )
        labels = {"a": "1", f"b{number % 2}": "1"}
        made.append(desk.accept(submission(name=name, batch_id=batch, labels=labels, urgency=urgency)).document_id)
    for number in (3, 4):
        desk.cancel("acme", made[number])
    for oldest_first in (False, True):
        for states in ((), (DocumentState.RECEIVED, DocumentState.CANCELLED)):
            said: dict[str, Any] = {"oldest_first": oldest_first, "states": states}
            in_order = made if oldest_first else made[::-1]
            for more in ({}, {"labels": {"a": "1"}}, {"batch_id": batch}):
                ids, pages = walked(desk, DocumentFilter(name_contains="rare", **said, **more))
                assert ids == [id_ for id_ in in_order if id_ in (made[0], made[9])]
                short = [page for page in pages if page.next_cursor and len(page.items) < 2]
                assert short
                assert all(page.looked_until is not None for page in short)
                assert pages[-1].looked_until is None
                assert len(pages) <= 5
            assert walked(desk, DocumentFilter(urgency=Urgency.CRITICAL, **said))[0] == [made[9]]
            both = DocumentFilter(labels={"a": "1", "b0": "1"}, **said)
            assert walked(desk, both)[0] == [id_ for id_ in in_order if id_ in made[::2]]
            assert walked(desk, DocumentFilter(**said))[0] == in_order


def test_documents_that_are_gone_do_not_make_a_page_slow(
    desk: Desk, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "LOOKED_THROUGH", 3)
    made = [desk.accept(submission()).document_id for _ in range(8)]
    for id_ in made[1:]:
        desk.cancel("acme", id_)
        desk.delete("acme", id_)
    first = desk.documents("acme", DocumentFilter(), None, 5)
    assert (first.items, first.next_cursor is None) == ((), False)
    assert walked(desk, DocumentFilter(), 5)[0] == [made[0]]


def test_a_filter_by_time_goes_by_the_database_within_a_day_of_the_makers_clock(desk: Desk, ledger: Ledger) -> None:
    early, late = (desk.accept(submission()).document_id for _ in range(2))
    now = time.time()
    with ledger.unit_of_work() as session:
        for id_, at in ((early, now - 80_000), (late, now + 80_000)):
            session.execute(text("UPDATE document SET created_at = :at WHERE id = :id"), {"at": at, "id": id_})
    assert walked(desk, DocumentFilter(created_before=now - 70_000))[0] == [early]
    assert walked(desk, DocumentFilter(created_after=now + 70_000))[0] == [late]
    assert walked(desk, DocumentFilter(created_after=now - 90_000, created_before=now + 90_000))[0] == [late, early]
