"""Many clients at once: on every database, and where the order of commits matters, on Postgres with two sessions."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from desk_driver import fail_at_plan, read_through, submission
from sqlalchemy import insert, text

from docfleet.domain.urgency import Urgency
from docfleet.domain.work import DocumentState
from docfleet.errors import Conflict, Gone
from docfleet.ledger import Ledger, accepting, deleting
from docfleet.ledger.desk import Desk
from docfleet.ledger.dialect import database_now
from docfleet.ledger.rows import EVENT
from docfleet.ledger.turns import Turns


def at_once(count: int, act: Callable[[int], Any]) -> list[Any]:
    """What each of so many threads, let go together, got or raised."""
    start = threading.Barrier(count)

    def run(number: int) -> Any:
        start.wait(30)
        try:
            return act(number)
        except Exception as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def refs(ledger: Ledger) -> dict[str, tuple[int, int]]:
    """Content -> (refs as counted, documents that point to it)."""
    with ledger.reading() as session:
        rows = session.execute(
            text(
                "SELECT id, refs, (SELECT count(*) FROM document WHERE content_id = content.id) AS documents "
                "FROM content WHERE erased_at IS NULL"
            )
        )
        return {row.id: (row.refs, row.documents) for row in rows}


def test_a_storm_under_one_idempotency_key_makes_one_document(desk: Desk, ledger: Ledger) -> None:
    answers = at_once(50, lambda _: desk.accept(submission("x", idempotency_key="k", request_digest="d")))
    assert {answer.document_id for answer in answers} == {answers[0].document_id}
    assert {answer.content_id for answer in answers} == {answers[0].content_id}
    assert sum(not answer.replayed for answer in answers) == 1
    assert len(desk.documents("acme").items) == 1
    assert refs(ledger) == {answers[0].content_id: (1, 1)}
    assert len(ledger.claim("w", limit=100)) == 1


def test_of_equal_uploads_at_once_one_is_read_and_the_others_follow(desk: Desk, ledger: Ledger) -> None:
    desk.accept(submission("the home of the tenant"))
    ledger.claim("w", limit=100)
    for number in range(5):
        answers = at_once(20, lambda _, number=number: desk.accept(submission(f"x{number}")))
        assert all(answer.state is DocumentState.RECEIVED for answer in answers), answers
        (leader,) = {answer.document_id for answer in answers if not answer.duplicate_of}
        assert len({answer.document_id for answer in answers}) == 20
        assert {answer.duplicate_of for answer in answers} == {"", leader}
        assert len(ledger.claim("w", limit=100)) == 1
    assert all(counted == there for counted, there in refs(ledger).values())


def test_an_equal_upload_of_another_process_is_waited_for(on_postgres: Ledger) -> None:
    here, elsewhere = Desk(on_postgres), Desk(on_postgres)
    here.accept(submission("the home of the tenant"))
    home = here._home("acme")
    with ThreadPoolExecutor(1) as pool:
        with on_postgres.unit_of_work() as session:
            first = accepting.accept(session, submission("x"), home)
            second = pool.submit(elsewhere.accept, submission("x"))
            time.sleep(0.3)
            assert not second.done()
        assert second.result(10).duplicate_of == first.document_id


def test_those_who_wait_for_a_turn_do_not_wait_for_ever() -> None:
    turns = Turns(patience_seconds=0.05)
    with turns.of("a"), turns.of("b"), turns.of("a"):
        pass
    assert turns._open == {}


def test_a_first_document_for_a_tenant_in_many_threads(desk: Desk) -> None:
    answers = at_once(20, lambda n: desk.accept(submission(tenant=f"t{n % 2}")))
    assert len({answer.document_id for answer in answers}) == 20
    assert len(desk.documents("t0").items) == len(desk.documents("t1").items) == 10


def test_taking_results_while_they_are_deleted(desk: Desk, ledger: Ledger) -> None:
    for round_ in range(8):
        name = f"x{round_}"
        first = desk.accept(submission(name)).document_id
        read_through(ledger, first)
        answers = at_once(
            6, lambda n, first=first, name=name: desk.delete("acme", first) if n == 0 else desk.accept(submission(name))
        )
        for answer in answers[1:]:
            # neither an error nor a document whose bytes are gone
            view = desk.document("acme", answer.document_id)
            assert desk.wrapped_key("acme", answer.document_id)
            assert bool(view.results) == (view.state is DocumentState.SUCCEEDED)
        assert all(counted == there for counted, there in refs(ledger).values())


def test_deleting_twice_at_once_lets_go_once(desk: Desk, ledger: Ledger) -> None:
    first = desk.accept(submission("x")).document_id
    read_through(ledger, first)
    desk.accept(submission("x"))
    answers = at_once(8, lambda _: desk.delete("acme", first))
    assert answers.count(None) == 1
    assert all(isinstance(answer, Gone) for answer in answers if answer is not None)
    assert all(counted == there for counted, there in refs(ledger).values())
    assert desk.erased_contents() == []


def test_cancelling_retrying_and_raising_at_once_ends_in_one_sound_state(desk: Desk, ledger: Ledger) -> None:
    first = desk.accept(submission("x")).document_id
    others = [desk.accept(submission("x")).document_id for _ in range(3)]

    def meddle(number: int) -> Any:
        id_ = [first, *others][number % 4]
        return [desk.cancel, desk.retry, lambda t, i: desk.reprioritise(t, i, Urgency.HIGH)][number % 3]("acme", id_)

    for answer in at_once(12, meddle):
        assert not isinstance(answer, Exception) or isinstance(answer, Conflict), answer
    for id_ in (first, *others):
        if desk.document("acme", id_).state is not DocumentState.CANCELLED:
            desk.cancel("acme", id_)
    assert not ledger.claim("w", limit=100)


def test_a_batch_is_sealed_before_or_after_a_document_came(desk: Desk) -> None:
    for _ in range(5):
        batch = desk.open_batch("acme").id
        answers = at_once(
            6,
            lambda n, batch=batch: (
                desk.seal_batch("acme", batch) if n == 3 else desk.accept(submission(batch_id=batch))
            ),
        )
        accepted = [answer for n, answer in enumerate(answers) if n != 3 and not isinstance(answer, Conflict)]
        assert sum(desk.batch("acme", batch).documents.values()) == len(accepted)


_ANYBODY_WAITS = text(
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
)


def wait_for_lock(ledger: Ledger) -> None:
    """Until some session of this database waits for another."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with ledger.reading() as session:
            if session.execute(_ANYBODY_WAITS).scalar():
                return
        time.sleep(0.01)
    raise AssertionError("nobody waited")


def test_a_batch_is_not_sealed_past_a_document_on_its_way_in(on_postgres: Ledger) -> None:
    desk = Desk(on_postgres)
    batch = desk.open_batch("acme").id
    home = desk._home("acme")
    sealing = threading.Thread(target=lambda: desk.seal_batch("acme", batch))
    with on_postgres.unit_of_work() as session:
        accepting.accept(session, submission(batch_id=batch), home)
        sealing.start()
        wait_for_lock(on_postgres)
    sealing.join()
    view = desk.batch("acme", batch)
    assert view.sealed_at is not None
    assert view.documents[DocumentState.RECEIVED] == 1


@pytest.mark.parametrize("act", ["retry", "retry_dead_letters"])
def test_what_is_just_being_deleted_is_not_tried_again(on_postgres: Ledger, act: str) -> None:
    desk = Desk(on_postgres)
    id_ = desk.accept(submission("x")).document_id
    fail_at_plan(on_postgres, id_)
    answers: list[Any] = []

    def retry() -> None:
        try:
            answers.append(desk.retry("acme", id_) if act == "retry" else desk.retry_dead_letters("acme"))
        except Gone:
            answers.append("gone")

    with on_postgres.unit_of_work() as session:
        deleting.delete_document(session, "acme", id_)
        other = threading.Thread(target=retry)
        other.start()
        wait_for_lock(on_postgres)
    other.join()
    assert answers == ["gone" if act == "retry" else 0]
    assert not on_postgres.claim("w"), "a tombstone is not read again"


def test_no_results_are_taken_of_a_content_that_is_just_being_erased(on_postgres: Ledger) -> None:
    """Postgres: the content's row is locked by its erasure when the new document wants it."""
    desk = Desk(on_postgres)
    first = desk.accept(submission("x"))
    read_through(on_postgres, first.document_id)
    answers: list[Any] = []
    fresh = submission("x")
    with on_postgres.unit_of_work() as session:
        session.execute(text("UPDATE content SET refs = 0, wrapped_key = NULL, erased_at = 1"))
        other = threading.Thread(target=lambda: answers.append(desk.accept(fresh)))
        other.start()
        wait_for_lock(on_postgres)
        session.execute(text("UPDATE document SET deleted_at = 1, content_id = NULL, options_key = ''"))
    other.join()
    assert (answers[0].duplicate_of, answers[0].content_id) == ("", fresh.content_id)


def test_one_that_ends_while_it_gets_a_follower_has_it_or_is_taken(on_postgres: Ledger) -> None:
    """Postgres: the leader's row is locked by its end when the new document wants to follow it."""
    desk = Desk(on_postgres)
    first = desk.accept(submission("x"))
    answers: list[Any] = []
    with on_postgres.unit_of_work() as session:
        session.execute(text("UPDATE document SET state = 'failed', code = 'damaged', finished_at = 1"))
        other = threading.Thread(target=lambda: answers.append(desk.accept(submission("x"))))
        other.start()
        wait_for_lock(on_postgres)
    other.join()
    assert answers[0].duplicate_of == ""
    assert desk.document("acme", answers[0].document_id).state is DocumentState.RECEIVED
    assert desk.document("acme", first.document_id).state is DocumentState.FAILED


def test_equal_documents_of_one_batch_do_not_wait_for_each_other_in_circles(on_postgres: Ledger) -> None:
    """Whoever ends a document locks its batch after it; so does whoever is accepted into the batch to follow it."""
    desk = Desk(on_postgres)
    batch = desk.open_batch("acme").id
    for round_ in range(6):
        name = f"x{round_}"
        first = desk.accept(submission(name, batch_id=batch)).document_id

        def act(number: int, name: str = name, first: str = first) -> Any:
            if number == 0:
                return read_through(on_postgres, first, pages=1)
            return [desk.accept(submission(name, batch_id=batch)).document_id for _ in range(6)]

        answers = at_once(6, act)
        assert not [answer for answer in answers if isinstance(answer, Exception)], answers
        for id_ in [first, *(id_ for ids in answers[1:] for id_ in ids)]:
            assert desk.document("acme", id_).state is DocumentState.SUCCEEDED
    # sessions tell what they counted when they have been idle for a second
    time.sleep(1.5)
    desk.batches("acme")
    with on_postgres.reading() as session:
        deadlocks = text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        assert session.execute(deadlocks).scalar_one() == 0


def test_no_event_is_missed_when_transactions_commit_in_the_other_order(on_postgres: Ledger) -> None:
    desk = Desk(on_postgres)
    batch = desk.open_batch("acme").id
    document = desk.accept(submission(batch_id=batch)).document_id

    def tell(cause: str) -> Any:
        return insert(EVENT).values(
            at=database_now(), entity="document", document_id=document, slice_id=None, from_state="received",
            to_state="received", token=0, worker="", cause=cause, tenant_id="acme", batch_id=batch,
        )  # fmt: skip

    whose = {"document": document, "batch": batch}
    cursors = {"document": "", "batch": ""}
    causes: dict[str, list[str]] = {"document": [], "batch": []}

    def listen() -> None:
        for what in cursors:
            found = desk.events("acme", after_cursor=cursors[what], **{f"{what}_id": whose[what]})  # type: ignore[arg-type]
            causes[what] += [event.cause for event in found if event.slice_id is None]
            cursors[what] = found[-1].cursor if found else cursors[what]

    listen()
    with on_postgres.unit_of_work() as slow:
        slow.execute(tell("slow"))
        with on_postgres.unit_of_work() as quick:
            quick.execute(tell("quick"))
        # committed, with the higher number; but shown only when nothing can come before it any more
        listen()
        assert all(told == ["accepted"] for told in causes.values())
    listen()
    listen()
    assert all(told == ["accepted", "slow", "quick"] for told in causes.values())


def test_events_are_told_in_order_and_once_while_many_write(desk: Desk) -> None:
    batch = desk.open_batch("acme").id
    stop = threading.Event()
    seen: list[str] = []

    def listen() -> None:
        cursor = ""
        while True:
            last_look = stop.is_set()
            while found := desk.events("acme", batch_id=batch, after_cursor=cursor, limit=7):
                seen.extend(event.cursor for event in found)
                cursor = found[-1].cursor
            if last_look:
                return
            time.sleep(0.01)

    listener = threading.Thread(target=listen)
    listener.start()
    answers = at_once(6, lambda _: [desk.accept(submission(batch_id=batch)) for _ in range(8)])
    stop.set()
    listener.join()
    assert all(isinstance(answer, list) for answer in answers), answers
    everything = [event.cursor for event in desk.events("acme", batch_id=batch, limit=1000)]
    assert seen == everything
    assert len(everything) == 6 * 8 * 2


def test_accepting_wakes_the_dispatcher_with_its_commit(on_postgres: Ledger) -> None:
    import psycopg

    desk = Desk(on_postgres)
    desk.accept(submission())
    url = on_postgres._engine.url
    with psycopg.connect(host=url.query["host"], user="docfleet", dbname=url.database, autocommit=True) as listener:
        listener.execute("LISTEN docfleet_work")
        desk.accept(submission("x", pool="image"))
        assert [note.payload for note in listener.notifies(timeout=5, stop_after=1)] == ["image"]
        desk.accept(submission("x", pool="image"))
        assert list(listener.notifies(timeout=0.2)) == [], "a follower is no work"
