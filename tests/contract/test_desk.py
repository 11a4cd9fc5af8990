"""Accepting documents, looking at them and listing them, on every database."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from desk_driver import RESULT, counting_statements, fail_at_plan, read_through, submission
from sqlalchemy import text

from docfleet.domain.urgency import Urgency
from docfleet.domain.work import DocumentState, Step
from docfleet.errors import BadRequest, Conflict, IdempotencyMismatch, NotFound
from docfleet.ledger import Ledger, NewSlice, PageOutcome, Plan
from docfleet.ledger.desk import Desk
from docfleet.ledger.moves import WHOLE, add_slices, lock_document, record_documents
from docfleet.ledger.service_values import DocumentFilter, ReadingOptions

HOSTILE = ["", "../../etc/passwd", "a\nb\r\nX: y", "'; DROP TABLE document; --", "\U0001f4a9", "ａ%_\\", "x" * 500]


# --- accepting


def test_what_was_accepted_is_there(desk: Desk, ledger: Ledger) -> None:
    given = submission(
        name="Rechnung.pdf",
        labels={"customer": "7"},
        urgency=Urgency.HIGH,
        deadline_at=2e9,
        options=ReadingOptions(("json", "md"), ("de",), "scan", "ocr"),
    )
    accepted = desk.accept(given)
    assert (accepted.state, accepted.duplicate_of, accepted.replayed) == (DocumentState.RECEIVED, "", False)
    assert accepted.content_id == given.content_id
    view = desk.document("acme", accepted.document_id)
    assert (view.name, view.labels, view.urgency) == ("Rechnung.pdf", {"customer": "7"}, Urgency.HIGH)
    assert (view.deadline_at, view.options, view.batch_id) == (2e9, given.options, None)
    assert (view.sha256, view.size_bytes, view.pool, view.content_id) == (given.sha256, 7, "pdf", given.content_id)
    assert desk.wrapped_key("acme", view.id) == given.wrapped_key
    [claim] = ledger.claim("w")
    assert claim.document.id == view.id


def test_the_first_slice_carries_what_dispatching_needs(desk: Desk, ledger: Ledger) -> None:
    desk.accept(submission(urgency=Urgency.CRITICAL, deadline_at=2e9, pool="image"))
    with ledger.reading() as session:
        row = session.execute(text("SELECT tenant_id, pool, urgency, deadline_at, dispatched_at FROM slice")).one()
    assert tuple(row) == ("acme", "image", "critical", 2e9, None)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_kept_as_given(desk: Desk, name: str) -> None:
    id_ = desk.accept(submission(name=name)).document_id
    assert desk.document("acme", id_).name == name
    if name:
        found = desk.documents("acme", DocumentFilter(name_contains=name))
        assert [view.id for view in found.items] == [id_]


def test_what_no_database_stores_is_replaced_in_names_and_refused_elsewhere(desk: Desk) -> None:
    id_ = desk.accept(submission(name="a\x00b\ud800c")).document_id
    assert desk.document("acme", id_).name == "a\ufffdb\ufffdc"
    for wrong in (
        submission(name="x" * 501),
        submission(labels={"a": "\x00"}),
        submission(labels={"\ud800": "a"}),
        submission(labels={"": "a"}),
        submission(labels={"a": "b" * 257}),
        submission(labels={"a" * 65: "b"}),
        submission(labels={str(n): "" for n in range(33)}),
        submission(deadline_at=float("nan")),
        submission(idempotency_key="\x00"),
        submission(idempotency_key="k" * 256),
    ):
        with pytest.raises(BadRequest):
            desk.accept(wrong)
    assert len(desk.documents("acme").items) == 1
    assert desk.accept(submission(labels={str(n): "v" * 256 for n in range(32)}))


def test_accepting_takes_few_statements(desk: Desk, ledger: Ledger) -> None:
    desk.accept(submission())
    with counting_statements(ledger) as sent:
        desk.accept(submission(idempotency_key="k"))
    assert len(sent) <= (1 if ledger._engine.dialect.name == "postgresql" else 8), sent


def test_the_answer_to_a_submission_shows_the_document(desk: Desk, ledger: Ledger) -> None:
    given = submission("x", urgency=Urgency.HIGH, deadline_at=2e9, labels={"a": "b"}, idempotency_key="k")
    told = desk.submit(given)
    there = desk.document("acme", told.accepted.document_id)
    assert told.view == there if ledger.engine.dialect.name == "postgresql" else told.view is None
    batch = desk.open_batch("acme", "b").id
    for other in (submission("x"), submission("x", reuse=False), submission(batch_id=batch), given):
        told = desk.submit(other)
        there = desk.document("acme", told.accepted.document_id)
        assert told.view in (None, there)
        assert there.duplicate_of == told.accepted.duplicate_of
    assert told.accepted.replayed


def test_what_is_not_accepted_leaves_no_trace(desk: Desk, ledger: Ledger) -> None:
    desk.submit(submission(idempotency_key="k", request_digest="d"))
    with pytest.raises(IdempotencyMismatch):
        desk.submit(submission(labels={"a": "b"}, idempotency_key="k", request_digest="e"))
    with ledger.reading() as session:
        for table, rows in {"content": 1, "document": 1, "slice": 1, "event": 2, "label": 0, "idempotency": 1}.items():
            assert session.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() == rows, table


def test_one_statement_writes_what_several_write(address: str | Path, ledger: Ledger) -> None:
    """Postgres has a way of its own to write a new document; its rows are those that `moves` makes."""
    desk = Desk(ledger)
    tables = {"document": "id", "slice": "document_id", "event": "document_id", "content": "id"}
    id_ = desk.accept(submission(urgency=Urgency.HIGH, deadline_at=2e9, labels={"a": "b"})).document_id
    content_id = desk.document("acme", id_).content_id

    def rows() -> dict[str, list[dict[str, object]]]:
        found = {}
        with ledger.reading() as session:
            for table, key in tables.items():
                wanted = content_id if table == "content" else id_
                statement = text(f"SELECT * FROM {table} WHERE {key} = :wanted ORDER BY 1")
                found[table] = [dict(row) for row in session.execute(statement, {"wanted": wanted}).mappings()]
        return found

    at_once = rows()
    with ledger.unit_of_work() as session:
        session.execute(text("DELETE FROM slice"))
        document = lock_document(session, id_)
        record_documents(session, [id_], None, DocumentState.RECEIVED, "accepted")
        add_slices(session, document, [WHOLE[Step.PLAN]])
    by_steps = rows()
    assert len(by_steps["event"]) == 4
    by_steps["event"] = by_steps["event"][2:]
    for table in ("slice", "event"):
        for one, other in zip(at_once[table], by_steps[table], strict=True):
            for name in one:
                if name in ("created_at", "available_at", "at", "priority"):
                    assert other[name] == pytest.approx(one[name], abs=60)
                elif name not in ("id", "slice_id", "xact"):
                    assert other[name] == one[name], name


# --- the same request again


def test_the_same_request_is_answered_alike(desk: Desk) -> None:
    first = desk.accept(submission("x", idempotency_key="k", request_digest="d"))
    again = desk.accept(submission("x", idempotency_key="k", request_digest="d"))
    assert again.replayed
    assert (again.document_id, again.content_id) == (first.document_id, first.content_id)
    assert desk.find_idempotent("acme", "k", "d") == again
    assert desk.find_idempotent("acme", "other", "d") is None
    assert len(desk.documents("acme").items) == 1
    with pytest.raises(IdempotencyMismatch):
        desk.accept(submission("y", idempotency_key="k", request_digest="e"))
    with pytest.raises(IdempotencyMismatch):
        desk.find_idempotent("acme", "k", "e")
    assert len(desk.documents("acme").items) == 1


def test_a_key_is_the_tenants_own(desk: Desk) -> None:
    desk.accept(submission("x", idempotency_key="k", request_digest="d"))
    other = desk.accept(submission("x", tenant="other", idempotency_key="k", request_digest="e"))
    assert not other.replayed
    assert other.duplicate_of == ""


def test_answers_are_forgotten_after_a_while(desk: Desk, ledger: Ledger) -> None:
    desk.accept(submission(idempotency_key="old", request_digest="d"))
    with ledger.unit_of_work() as session:
        session.execute(text("UPDATE idempotency SET created_at = created_at - 7300"))
    desk.accept(submission(idempotency_key="new", request_digest="d"))
    assert desk.prune_idempotency(2.0) == 1
    assert desk.find_idempotent("acme", "old", "d") is None
    assert desk.find_idempotent("acme", "new", "d") is not None


# --- the same bytes again


def test_earlier_results_are_taken_at_once(desk: Desk, ledger: Ledger) -> None:
    first = desk.accept(submission("x"))
    assert read_through(ledger, first.document_id) is DocumentState.SUCCEEDED
    original = desk.document("acme", first.document_id)
    again = desk.accept(submission("x", name="copy.pdf", urgency=Urgency.BULK))
    assert (again.state, again.duplicate_of) == (DocumentState.SUCCEEDED, first.document_id)
    assert again.content_id == first.content_id
    view = desk.document("acme", again.document_id)
    assert view.results == original.results == (RESULT,)
    assert (view.result_key, view.pages, view.pages_read, view.engines) == (original.result_key, 2, 2, {"text": 2})
    assert view.confidence == original.confidence
    # it was paid for once
    assert (view.cost_usd, view.work_seconds) == (0.0, 0.0)
    assert (original.cost_usd, original.work_seconds) == (0.5, 4.0)
    assert [(page.state, page.cost_usd) for page in desk.pages("acme", view.id)] == [("read", 0.0), ("read", 0.0)]
    assert view.finished_at is not None
    assert desk.wrapped_key("acme", view.id) == desk.wrapped_key("acme", original.id)
    assert not ledger.claim("w")
    assert [event.to_state for event in desk.events("acme", document_id=view.id)] == ["succeeded"]
    # a copy serves as well as the original
    desk.delete("acme", original.id)
    assert desk.accept(submission("x")).duplicate_of == view.id


@pytest.mark.parametrize(
    "other",
    [{"reuse": False}, {"options": ReadingOptions(("md",))}, {"tenant": "other"}],
    ids=["refused", "other options", "other tenant"],
)
def test_earlier_results_are_not_taken(desk: Desk, ledger: Ledger, other: dict[str, object]) -> None:
    first = desk.accept(submission("x"))
    read_through(ledger, first.document_id)
    given = submission("x", **other)
    accepted = desk.accept(given)
    assert (accepted.state, accepted.duplicate_of) == (DocumentState.RECEIVED, "")
    assert accepted.content_id == given.content_id


def test_a_document_read_on_its_own_is_still_found_by_others(desk: Desk, ledger: Ledger) -> None:
    own = desk.accept(submission("x", reuse=False))
    assert desk.accept(submission("x")).duplicate_of == own.document_id


@pytest.mark.parametrize("end", ["partial", "failed", "cancelled"])
def test_only_success_is_taken(desk: Desk, ledger: Ledger, end: str) -> None:
    first = desk.accept(submission("x"))
    if end == "cancelled":
        desk.cancel("acme", first.document_id)
    else:
        read_through(ledger, first.document_id, failed={1} if end == "partial" else {1, 2})
    assert desk.document("acme", first.document_id).state == end
    assert desk.accept(submission("x")).duplicate_of == ""


def test_one_that_is_being_read_is_followed(desk: Desk, ledger: Ledger) -> None:
    first = desk.accept(submission("x"))
    second = desk.accept(submission("x", urgency=Urgency.BULK))
    third = desk.accept(submission("x"))
    assert second.duplicate_of == third.duplicate_of == first.document_id
    assert second.state is DocumentState.RECEIVED
    assert second.content_id == first.content_id
    assert desk.document("acme", second.document_id).duplicate_of == first.document_id
    assert len(ledger.claim("w", limit=10)) == 1


def test_a_less_urgent_one_is_not_followed(desk: Desk, ledger: Ledger) -> None:
    slow = desk.accept(submission("x", urgency=Urgency.BULK))
    fast = desk.accept(submission("x", urgency=Urgency.HIGH))
    assert fast.duplicate_of == ""
    assert len(ledger.claim("w", limit=10)) == 2
    assert desk.accept(submission("x", urgency=Urgency.BULK)).duplicate_of in (slow.document_id, fast.document_id)
    assert desk.accept(submission("x", urgency=Urgency.NORMAL)).duplicate_of == fast.document_id


# --- looking


def test_progress_page_by_page(desk: Desk, ledger: Ledger) -> None:
    id_ = desk.accept(submission()).document_id
    assert desk.pages("acme", id_) == []
    [plan] = ledger.claim("w")
    ledger.finish(plan, next_slices=[NewSlice(Step.LOCAL, page, page) for page in (1, 2, 3)], plan=Plan(3))
    [first] = ledger.claim("w")
    ledger.claim("w")
    ledger.finish(first, "k", [PageOutcome(1, engine="text", confidence=0.9)])
    assert [page.state for page in desk.pages("acme", id_)] == ["read", "running", "waiting"]
    view = desk.document("acme", id_)
    assert (view.state, view.pages, view.pages_read, view.pages_failed) == (DocumentState.RUNNING, 3, 1, 0)
    desk.cancel("acme", id_)
    assert [page.state for page in desk.pages("acme", id_)] == ["read", "cancelled", "cancelled"]


def test_pages_that_are_tried_again_are_open_again(desk: Desk, ledger: Ledger) -> None:
    id_ = desk.accept(submission()).document_id
    assert read_through(ledger, id_, pages=3, failed={2, 3}) is DocumentState.PARTIAL
    assert [page.state for page in desk.pages("acme", id_)] == ["read", "damaged", "damaged"]
    assert desk.document("acme", id_).results == (RESULT,)
    desk.retry("acme", id_, pages=[3])
    assert [page.state for page in desk.pages("acme", id_)] == ["read", "damaged", "waiting"]
    assert desk.document("acme", id_).results == ()
    assert read_through(ledger, id_) is DocumentState.PARTIAL
    assert [page.state for page in desk.pages("acme", id_)] == ["read", "damaged", "read"]


def test_a_document_that_never_had_pages(desk: Desk, ledger: Ledger) -> None:
    id_ = desk.accept(submission()).document_id
    fail_at_plan(ledger, id_)
    view = desk.document("acme", id_)
    assert (view.state, view.code) == (DocumentState.FAILED, "password_required")
    assert desk.pages("acme", id_) == []


@pytest.mark.parametrize("id_", ["", "x", "\x00", "\ud800", "0" * 32, "' OR 1=1 --", "A" * 32, "0" * 31 + "\n"])
def test_what_is_no_id_is_not_found(desk: Desk, id_: str) -> None:
    desk.accept(submission())
    for ask in (desk.document, desk.pages, desk.cancel, desk.retry, desk.delete, desk.wrapped_key, desk.batch):
        with pytest.raises(NotFound):
            ask("acme", id_)


# --- listing


def test_listing_page_by_page_gives_each_document_once(desk: Desk) -> None:
    made = [desk.accept(submission()).document_id for _ in range(7)]
    seen: list[str] = []
    cursor: str | None = None
    while True:
        found = desk.documents("acme", cursor=cursor, limit=3)
        seen += [view.id for view in found.items]
        # what comes meanwhile is newer, and on no later page
        desk.accept(submission())
        cursor = found.next_cursor
        if cursor is None:
            break
    assert seen == sorted(made, reverse=True)


def test_a_full_last_page_has_no_next(desk: Desk) -> None:
    for _ in range(4):
        desk.accept(submission())
    first = desk.documents("acme", limit=2)
    assert first.next_cursor is not None
    assert desk.documents("acme", cursor=first.next_cursor, limit=2).next_cursor is None


@pytest.mark.parametrize(
    "cursor", ["x", "ZDo", "\x00", "é" * 4, "a" * 1000, "Yjow", "ZDonIE9SIDE9MQ", "====", "ZDow\n"]
)
def test_what_is_no_cursor_is_refused(desk: Desk, cursor: str) -> None:
    with pytest.raises(BadRequest):
        desk.documents("acme", cursor=cursor)


def test_the_cursor_of_one_listing_is_none_of_another(desk: Desk) -> None:
    for _ in range(2):
        desk.accept(submission())
    cursor = desk.documents("acme", limit=1).next_cursor
    assert cursor is not None
    for ask in (desk.batches, lambda tenant, cursor: desk.dead_letters(tenant, cursor=cursor)):
        with pytest.raises(BadRequest):
            ask("acme", cursor=cursor)


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_limits_have_limits(desk: Desk, limit: int) -> None:
    with pytest.raises(BadRequest):
        desk.documents("acme", limit=limit)


def test_filters(desk: Desk, ledger: Ledger) -> None:
    batch = desk.open_batch("acme", "inbox")
    in_batch = desk.accept(submission(batch_id=batch.id, name="Brief.PDF", labels={"a": "1", "b": "2"})).document_id
    urgent = desk.accept(submission(urgency=Urgency.CRITICAL, labels={"a": "1"}, name="100%.pdf")).document_id
    done = desk.accept(submission(labels={"a": "2"})).document_id
    failed = desk.accept(submission()).document_id
    read_through(ledger, done)
    fail_at_plan(ledger, failed)

    def ids(**wanted: object) -> list[str]:
        return [view.id for view in desk.documents("acme", DocumentFilter(**wanted)).items]  # type: ignore[arg-type]

    newest_first = [failed, done, urgent, in_batch]
    assert ids() == newest_first
    assert ids(states=(DocumentState.SUCCEEDED,)) == [done]
    assert ids(states=(DocumentState.RECEIVED, DocumentState.FAILED)) == [failed, urgent, in_batch]
    assert ids(batch_id=batch.id) == [in_batch]
    assert ids(labels={"a": "1"}) == [urgent, in_batch]
    assert ids(labels={"a": "1", "b": "2"}) == [in_batch]
    assert ids(labels={"a": "1"}, states=(DocumentState.SUCCEEDED, DocumentState.FAILED)) == []
    assert ids(name_contains="brief.p") == [in_batch]
    assert ids(name_contains="%") == [urgent]
    assert ids(name_contains="_") == []
    assert ids(urgency=Urgency.CRITICAL) == [urgent]
    assert ids(code="password_required") == [failed]
    assert ids(code="damaged") == []
    now = desk.document("acme", done).created_at
    assert ids(created_after=now + 0.0005) == [failed]
    assert ids(created_before=now) == [urgent, in_batch]
    for wrong in ({"name_contains": "\x00"}, {"labels": {"a": "\ud800"}}, {"created_after": float("nan")}):
        with pytest.raises(BadRequest):
            ids(**wrong)
    with pytest.raises(NotFound):
        ids(batch_id="\x00")


def test_several_states_page_by_page(desk: Desk) -> None:
    made = [desk.accept(submission()).document_id for _ in range(6)]
    for id_ in made[::2]:
        desk.cancel("acme", id_)
    wanted = DocumentFilter(states=(DocumentState.CANCELLED, DocumentState.RECEIVED), labels={})
    first = desk.documents("acme", wanted, limit=4)
    rest = desk.documents("acme", wanted, first.next_cursor, limit=4)
    assert [view.id for view in (*first.items, *rest.items)] == made[::-1]


# --- batches


def test_a_batch_counts_its_documents(desk: Desk, ledger: Ledger) -> None:
    batch = desk.open_batch("acme", "inbox", {"day": "monday"})
    assert (batch.label, batch.labels, sum(batch.documents.values())) == ("inbox", {"day": "monday"}, 0)
    done, partial, waiting = (desk.accept(submission(batch_id=batch.id)).document_id for _ in range(3))
    desk.accept(submission())
    read_through(ledger, done)
    read_through(ledger, partial, pages=4, failed={2})
    view = desk.batch("acme", batch.id)
    assert {state.value: count for state, count in view.documents.items() if count} == {
        "succeeded": 1, "partial": 1, "received": 1,
    }  # fmt: skip
    assert (view.pages, view.pages_read, view.pages_failed) == (6, 5, 1)
    assert desk.document("acme", waiting).batch_id == batch.id
    assert desk.batches("acme").items == (view,)
    assert desk.cancel_batch("acme", batch.id) == 1
    assert desk.cancel_batch("acme", batch.id) == 0
    assert desk.document("acme", waiting).state is DocumentState.CANCELLED


def test_a_sealed_batch_takes_no_more(desk: Desk) -> None:
    batch = desk.open_batch("acme", "inbox")
    first = desk.accept(submission("x", batch_id=batch.id, idempotency_key="k", request_digest="d"))
    sealed = desk.seal_batch("acme", batch.id).sealed_at
    assert sealed is not None
    assert desk.seal_batch("acme", batch.id).sealed_at == sealed
    with pytest.raises(Conflict):
        desk.accept(submission(batch_id=batch.id))
    # but a request repeated is answered alike
    assert desk.accept(
        submission("x", batch_id=batch.id, idempotency_key="k", request_digest="d")
    ).document_id == first.document_id  # fmt: skip
    for unknown in ("0" * 32, "\x00"):
        with pytest.raises(NotFound):
            desk.accept(submission(batch_id=unknown))


def test_nobody_sees_the_batch_of_single_documents(desk: Desk, ledger: Ledger) -> None:
    desk.accept(submission())
    with ledger.reading() as session:
        [hidden] = session.execute(text("SELECT id FROM batch WHERE implicit")).scalars()
    assert desk.batches("acme").items == ()
    for ask in (desk.batch, desk.seal_batch, desk.cancel_batch, lambda t, id_: desk.events(t, batch_id=id_)):
        with pytest.raises(NotFound):
            ask("acme", hidden)
    with pytest.raises(NotFound):
        desk.accept(submission(batch_id=hidden))


def test_a_batch_is_opened_once_under_one_key(desk: Desk) -> None:
    first = desk.open_batch("acme", "inbox", {"a": "b"}, idempotency_key="k")
    assert desk.open_batch("acme", "inbox", {"a": "b"}, idempotency_key="k").id == first.id
    assert desk.open_batch("acme", "inbox", {"a": "b"}).id != first.id
    assert desk.open_batch("other", "inbox", {"a": "b"}, idempotency_key="k").id != first.id
    with pytest.raises(IdempotencyMismatch):
        desk.open_batch("acme", "outbox", idempotency_key="k")


def test_batches_page_by_page(desk: Desk) -> None:
    made = [desk.open_batch("acme", str(n)).id for n in range(5)]
    first = desk.batches("acme", limit=3)
    rest = desk.batches("acme", first.next_cursor, limit=3)
    assert [view.id for view in (*first.items, *rest.items)] == made[::-1]
    assert rest.next_cursor is None


# --- counting


def test_open_documents_are_counted_once_a_second(desk: Desk, ledger: Ledger) -> None:
    clock = [time.monotonic()]
    counting = Desk(ledger, clock=lambda: clock[0])
    desk.accept(submission())
    assert (counting.open_documents(), counting.open_documents("other")) == (1, 0)
    desk.accept(submission())
    assert counting.open_documents() == 1
    clock[0] += 1.1
    assert (counting.open_documents(), counting.open_documents("acme")) == (2, 2)
