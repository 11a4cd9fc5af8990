"""Documents that wait for the results of another; on every database the ledger runs on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from docfleet.domain.retry import Failure
from docfleet.domain.urgency import Urgency
from docfleet.domain.work import DocumentState, Step
from docfleet.errors import Damaged
from docfleet.ledger import Claim, DocumentSummary, Ledger, NewSlice, PageOutcome, Plan, followers, stranded
from docfleet.ledger.desk import Desk
from docfleet.ledger.rows import DocumentRow
from ledger_driver import audit, read
from service_driver import content_row, document_row, submit

SUMMARY = DocumentSummary("contents/c/results/1-1", results_json='[{"format":"json"}]')


@pytest.fixture
def ledger(address: str | Path) -> Iterator[Ledger]:
    with Ledger.open(address, jitter=lambda: 0.0) as opened:
        yield opened
        audit(opened)


def claim_one(ledger: Ledger, worker: str = "w") -> Claim:
    [claim] = ledger.claim_next(worker, ["pdf"])
    return claim


def fail_next(ledger: Ledger) -> str:
    claim = claim_one(ledger)
    ledger.fail(claim, Failure.of_error(Damaged()))
    return claim.document.id


def followed_by(ledger: Ledger) -> list[str | None]:
    with ledger.reading() as session:
        return list(session.execute(text("SELECT follows FROM document ORDER BY id")).scalars())


@pytest.mark.parametrize("in_one", [True, False])
def test_followers_end_with_the_results_of_whom_they_follow(ledger: Ledger, in_one: bool) -> None:
    leader = submit(ledger)
    waiting = [submit(ledger, follows=leader) for _ in range(3)]
    claim = claim_one(ledger)
    assert ledger.claim_next("w", ["pdf"]) == [], "they have no slices of their own"
    if in_one:
        ledger.finish_in_one(claim, Plan(2, plan_json="{}"), read(1, 2), "k", SUMMARY)
    else:
        ledger.finish(claim, next_slices=[NewSlice(Step.LOCAL, 1, 2)], plan=Plan(2, plan_json="{}"))
        ledger.finish(claim_one(ledger), "k", read(1, 2))
        ledger.finish_document(claim_one(ledger), SUMMARY)
    led = document_row(ledger, leader)
    assert led.content_id is not None
    assert content_row(ledger, led.content_id).refs == 4
    for follower in waiting:
        row = document_row(ledger, follower)
        assert (row.state, row.follows, row.duplicate_of) == (DocumentState.SUCCEEDED, None, leader)
        assert (row.pages, row.pages_read, row.result_key, row.results_json, row.content_id) == (
            2, 2, SUMMARY.result_key, SUMMARY.results_json, led.content_id,
        )  # fmt: skip
        assert row.cost_usd == 0, "it was paid for once"
        assert [page.page.outcome for page in ledger.pages_of(follower)] == ["read", "read"]


def test_a_content_that_nobody_needs_any_more_is_erased_and_a_shared_one_is_counted_once(ledger: Ledger) -> None:
    leader = submit(ledger)
    one, two = submit(ledger, follows=leader), submit(ledger, follows=leader)
    led = document_row(ledger, leader).content_id
    own, other = document_row(ledger, one).content_id, document_row(ledger, two).content_id
    assert led
    assert own
    assert other
    with ledger.unit_of_work() as session:
        session.execute(text("UPDATE document SET content_id = :led WHERE id = :id"), {"led": led, "id": two})
        session.execute(text("UPDATE content SET refs = 2 WHERE id = :led"), {"led": led})
    ledger.finish_in_one(claim_one(ledger), Plan(1), read(1, 1), "k", SUMMARY)
    assert (content_row(ledger, led).refs, content_row(ledger, other).refs) == (3, 1)
    erased = content_row(ledger, own)
    assert (erased.refs, erased.wrapped_key) == (0, None)
    assert erased.erased_at is not None
    assert content_row(ledger, led).wrapped_key == b"key"


@pytest.mark.parametrize("how", ["failed", "partial", "cancelled"])
def test_followers_of_one_that_did_not_succeed_are_read_themselves(ledger: Ledger, how: str) -> None:
    leader = submit(ledger)
    calm = submit(ledger, follows=leader, urgency=Urgency.BULK)
    urgent = submit(ledger, follows=leader, urgency=Urgency.NORMAL)
    if how == "failed":
        fail_next(ledger)
    elif how == "partial":
        outcomes = [*read(1, 1), PageOutcome(2, "damaged", detail="Broken.")]
        assert ledger.finish_in_one(claim_one(ledger), Plan(2), outcomes, "k", SUMMARY) is DocumentState.PARTIAL
    else:
        batch = document_row(ledger, leader).batch_id
        with ledger.unit_of_work() as session:
            session.execute(text("UPDATE document SET batch_id = batch_id"))
        ledger.cancel_batch(batch)
        assert document_row(ledger, urgent).state is DocumentState.CANCELLED
        assert followed_by(ledger) == [None, None, None]
        return
    assert (document_row(ledger, urgent).follows, document_row(ledger, calm).follows) == (None, urgent)
    claim = claim_one(ledger)
    assert claim.document.id == urgent
    ledger.finish_in_one(claim, Plan(1), read(1, 1), "k", SUMMARY)
    assert document_row(ledger, calm).duplicate_of == urgent


def test_many_followers_of_a_broken_document_are_moved_on_few_times(ledger: Ledger) -> None:
    leader = submit(ledger)
    count = 64
    for _ in range(count):
        submit(ledger, follows=leader)
    while ledger.window("pdf", 1):
        fail_next(ledger)
    with ledger.reading() as session:
        states = session.execute(text("SELECT state, count(*) FROM document GROUP BY state")).all()
    assert [tuple(row) for row in states] == [("failed", count + 1)]


@pytest.fixture
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Results of two pages go to three documents in one transaction."""
    monkeypatch.setattr(followers, "MOST_PAGES", 6)


def ended(ledger: Ledger) -> int:
    with ledger.reading() as session:
        return session.execute(text("SELECT count(*) FROM document WHERE state = 'succeeded'")).scalar_one()


@pytest.mark.usefixtures("few_at_once")
def test_many_followers_take_the_results_some_at_a_time_and_none_is_forgotten(ledger: Ledger) -> None:
    leader = submit(ledger)
    submit(ledger, follows=leader, count=40)
    with watching_pages(ledger) as most:
        ledger.finish_in_one(claim_one(ledger), Plan(2), read(1, 2), "k", SUMMARY)
        assert ended(ledger) == 1 + 3, "whoever ends the leader does not do all of it"
        assert not ledger.claim_next("w", ["pdf"]), "nobody reads again what has been read"
        # the process that did so far is gone; another dispatcher looks
        assert ledger.stranded() == 3 * stranded.SERVED_AT_ONCE
        while ledger.stranded():
            pass
    assert max(most) <= 6
    assert (ended(ledger), followed_by(ledger)) == (41, [None] * 41)
    content = document_row(ledger, leader).content_id
    assert content is not None
    assert content_row(ledger, content).refs == 41
    with ledger.reading() as session:
        pages = session.execute(text("SELECT count(*) FROM page")).scalar()
        alive = session.execute(text("SELECT count(*) FROM content WHERE wrapped_key IS NOT NULL")).scalar()
    assert (pages, alive) == (82, 1)


@pytest.mark.usefixtures("few_at_once")
def test_who_still_waits_when_the_results_are_deleted_is_read_itself(ledger: Ledger) -> None:
    leader = submit(ledger)
    submit(ledger, follows=leader, count=8)
    ledger.finish_in_one(claim_one(ledger), Plan(2), read(1, 2), "k", SUMMARY)
    Desk(ledger).delete("acme", leader)
    claim = claim_one(ledger)
    ledger.finish_in_one(claim, Plan(2), read(1, 2), "k", SUMMARY)
    while ledger.stranded():
        pass
    assert (ended(ledger), followed_by(ledger)) == (9, [None] * 9)


@pytest.mark.slow
def test_more_followers_than_a_statement_can_name_are_moved_on(ledger: Ledger) -> None:
    leader = submit(ledger)
    count = 70_000 if ledger.engine.dialect.name == "postgresql" else 40_000
    follower = submit(ledger, follows=leader)
    columns = [column for column in DocumentRow.__table__.columns.keys() if column not in ("id", "options_digest")]  # noqa: SIM118
    same, number = ", ".join(columns), "lpad(n::text, 32, '0')"
    if ledger.engine.dialect.name == "sqlite":
        number = "printf('%032d', n)"
    with ledger.unit_of_work() as session:
        session.execute(
            text(
                "WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < :count) "
                f"INSERT INTO document (id, options_digest, {same}) SELECT {number}, {number}, {same} "
                "FROM number, document WHERE id = :id"
            ),
            {"count": count, "id": follower},
        )
        session.execute(
            text(
                "INSERT INTO event (at, entity, document_id, from_state, to_state, token, worker, cause) "
                "SELECT 1, 'document', id, '', 'received', 0, '', 'accepted' FROM document WHERE id NOT IN (:a, :b)"
            ),
            {"a": leader, "b": follower},
        )
    fail_next(ledger)
    assert len(ledger.window("pdf", 9)) == 2, "each half has one of its own"
    with ledger.reading() as session:
        left = session.execute(text("SELECT count(*) FROM document WHERE follows = :id"), {"id": leader}).scalar()
    assert left == 0


@contextmanager
def watching_pages(ledger: Ledger) -> Iterator[list[int]]:
    """How many page rows each statement that copies some has written."""
    written = [0]

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if statement.startswith("INSERT INTO page") and "SELECT" in statement and "JOIN" in statement:
            written.append(cursor.rowcount)

    event.listen(ledger.engine, "after_cursor_execute", note)
    try:
        yield written
    finally:
        event.remove(ledger.engine, "after_cursor_execute", note)


def test_two_ends_and_cancellations_at_once_leave_nothing_behind(address: str | Path) -> None:
    """Leaders end while their followers are cancelled: no deadlock that is not got over, nothing left open."""
    with Ledger.open(address) as ledger:
        leaders = [submit(ledger, f"{n}.pdf") for n in range(6)]
        for n in range(24):
            submit(ledger, follows=leaders[n % 6])
        batch = document_row(ledger, leaders[0]).batch_id
        claims = ledger.claim_next("w", ["pdf"], limit=6)
        errors: list[BaseException] = []

        def end(claim: Claim) -> None:
            try:
                ledger.finish_in_one(claim, Plan(1), read(1, 1), "k", SUMMARY)
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=end, args=(claim,)) for claim in claims]
        for thread in threads:
            thread.start()
        ledger.cancel_batch(batch)
        for thread in threads:
            thread.join()
        assert {type(error).__name__ for error in errors} <= {"Fenced"}
        with ledger.reading() as session:
            open_ones = session.execute(
                text("SELECT count(*) FROM document WHERE state NOT IN ('succeeded', 'cancelled')")
            ).scalar()
        assert open_ones == 0
        audit(ledger)
