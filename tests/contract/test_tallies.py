"""What happened to documents, slices and pages, counted once: on both databases."""

from __future__ import annotations

import random
import threading
import time

import pytest
from sqlalchemy import text

from contract.desk_driver import read_through, submission
from docfleet.domain.retry import Failure, FailureKind
from docfleet.domain.tallying import Measure, Sums
from docfleet.domain.urgency import Urgency
from docfleet.domain.work import DocumentState
from docfleet.errors import Damaged, Unexpected
from docfleet.ledger import Ledger
from docfleet.ledger.access import Access
from docfleet.ledger.desk import Desk
from docfleet.ledger.tallies import ALL_TENANTS, DAY, FIVE_MINUTES, HOUR, Tallies


@pytest.fixture
def tallies(ledger: Ledger) -> Tallies:
    access = Access(ledger)
    for tenant in ("acme", "globex"):
        access.ensure_tenant(tenant, tenant)
    return Tallies(ledger)


def count_all(tallies: Tallies) -> None:
    """As after two looks of the dispatcher."""
    for _ in range(2):
        while tallies.count_events():
            pass


def told(tallies: Tallies, tenant: str = ALL_TENANTS, step: int = HOUR) -> Sums:
    now = time.time()
    return tallies.series(tenant, now - 2 * step, now, step).total


def fail_next(ledger: Ledger, failure: Failure) -> None:
    claims = ledger.claim("w/0-1", limit=1)
    ledger.fail(claims[0], failure)


def test_documents_pages_and_times_are_counted_by_tenant_pool_and_priority(
    ledger: Ledger, desk: Desk, tallies: Tallies
) -> None:
    first = desk.accept(submission()).document_id
    second = desk.accept(submission(tenant="globex", urgency=Urgency.BULK, pool="image")).document_id
    desk.accept(submission())
    assert read_through(ledger, first, pages=3) is DocumentState.SUCCEEDED
    assert read_through(ledger, second, pages=4, failed=[2]) is DocumentState.PARTIAL
    count_all(tallies)
    for step in (FIVE_MINUTES, HOUR, DAY):
        sums = told(tallies, step=step)
        assert (sums.accepted, sums.succeeded, sums.partial, sums.in_time) == (3, 1, 1, 2)
        assert (sums.pages, sums.pages_failed) == (6, 1)
    mine = told(tallies, "globex")
    assert (mine.accepted, mine.succeeded, mine.partial, mine.pages, mine.pages_failed) == (1, 0, 1, 3, 1)
    assert mine.seconds_p50 is not None
    assert mine.seconds_p95 is not None
    assert 0 <= mine.seconds_p50 <= mine.seconds_p95 < 60
    assert mine.wait_p50 is not None
    now = time.time()
    classes = tallies.series(ALL_TENANTS, now - HOUR, now, HOUR).classes
    assert {(one.pool, one.urgency): one.sums.accepted for one in classes} == {
        ("pdf", "normal"): 2,
        ("image", "bulk"): 1,
    }


def test_nothing_is_counted_twice_and_the_sums_since_ever_agree(ledger: Ledger, desk: Desk, tallies: Tallies) -> None:
    for number in range(12):
        read_through(ledger, desk.accept(submission(tenant=("acme", "globex")[number % 2])).document_id)
        if number % 3 == 0:
            count_all(tallies)
    count_all(tallies)
    count_all(tallies)
    assert told(tallies).succeeded == 12
    ever = {(row.measure, row.detail): row.amount for row in tallies.totals()}
    assert ever[Measure.ACCEPTED, ""] == 12
    assert ever[Measure.ENDED, "succeeded"] == 12
    assert sum(amount for (measure, _), amount in ever.items() if measure == Measure.DURATION) == 12
    assert tallies.totals("nowhere") == []


def test_whose_fault_a_failure_was_is_told_apart(ledger: Ledger, desk: Desk, tallies: Tallies) -> None:
    for error in (Damaged(), Unexpected("It broke.")):
        desk.accept(submission())
        for _ in range(3):
            if not (claims := ledger.claim("w/0-1", limit=1)):
                with ledger.unit_of_work() as session:
                    session.execute(text("UPDATE slice SET available_at = 0"))
                claims = ledger.claim("w/0-1", limit=1)
            if ledger.fail(claims[0], Failure.of_error(error)).document_state is DocumentState.FAILED:
                break
    count_all(tallies)
    sums = told(tallies)
    assert (sums.failed, sums.broken) == (1, 1)
    assert sums.dead_letters == 2
    assert sums.retries == 2, "a damaged document is not tried again"
    now = time.time()
    assert tallies.series(ALL_TENANTS, now - HOUR, now, HOUR).dead_codes == {"damaged": 1, "unexpected": 1}


def test_what_was_tried_again_before_it_was_counted_failed_as_it_did(
    ledger: Ledger, desk: Desk, tallies: Tallies
) -> None:
    """A document that is tried again loses its code, and a code that nobody knows would be our fault."""
    desk.accept(submission())
    fail_next(ledger, Failure.of_error(Damaged()))
    by_page = desk.accept(submission()).document_id
    read_through(ledger, by_page, pages=2, failed=[1, 2])
    for view in desk.documents("acme").items:
        assert view.state is DocumentState.FAILED
        desk.retry("acme", view.id)
    count_all(tallies)
    sums = told(tallies)
    assert (sums.failed, sums.broken, sums.accepted) == (2, 0, 2)


def test_setbacks_are_counted_by_their_kind(ledger: Ledger, desk: Desk, tallies: Tallies) -> None:
    desk.accept(submission())
    fail_next(ledger, Failure(FailureKind.WAIT, "engine_busy"))
    fail_next(ledger, Failure(FailureKind.LOSS, "worker_died"))
    fail_next(ledger, Failure(FailureKind.CRASH, "worker_died"))
    count_all(tallies)
    ever = {row.detail: row.amount for row in tallies.totals() if row.measure == Measure.RETRIES}
    assert ever == {"wait": 1, "loss": 1, "crash": 1}
    assert told(tallies).leases_lost == 2


def test_a_second_round_ends_again_but_has_no_latency(ledger: Ledger, desk: Desk, tallies: Tallies) -> None:
    document = desk.accept(submission()).document_id
    read_through(ledger, document, pages=2, failed=[1])
    count_all(tallies)
    desk.retry("acme", document)
    read_through(ledger, document)
    count_all(tallies)
    sums = told(tallies)
    assert (sums.accepted, sums.partial, sums.succeeded, sums.in_time, sums.late) == (1, 1, 1, 1, 0)
    ever = [row.amount for row in tallies.totals() if row.measure == Measure.DURATION]
    assert sum(ever) == 1


def test_what_ends_after_its_target_is_late_unless_we_broke_it(ledger: Ledger, desk: Desk, tallies: Tallies) -> None:
    late = desk.accept(submission()).document_id
    desk.accept(submission())
    with ledger.unit_of_work() as session:
        session.execute(text("UPDATE document SET created_at = created_at - 90000"))
    read_through(ledger, late)
    fail_next(ledger, Failure(FailureKind.ERROR, Unexpected.code, retryable=False))
    count_all(tallies)
    sums = told(tallies)
    assert (sums.succeeded, sums.broken, sums.in_time, sums.late, sums.timed) == (1, 1, 0, 1, 1)


def test_a_duplicate_ends_with_the_results_of_the_earlier_one(ledger: Ledger, desk: Desk, tallies: Tallies) -> None:
    read_through(ledger, desk.accept(submission("same")).document_id)
    again = desk.accept(submission("same"))
    assert again.state is DocumentState.SUCCEEDED
    count_all(tallies)
    sums = told(tallies)
    assert (sums.accepted, sums.succeeded, sums.duplicates, sums.pages) == (2, 2, 1, 2)


def test_steps_in_which_nothing_happened_are_there(ledger: Ledger, desk: Desk, tallies: Tallies) -> None:
    now = time.time()
    empty = tallies.series("acme", now - 24 * HOUR, now, HOUR)
    assert (len(empty.steps), empty.total, empty.counted_until) == (25, Sums(), None)
    desk.accept(submission())
    count_all(tallies)
    found = tallies.series("acme", now - 24 * HOUR, now + 9 * HOUR, HOUR)
    assert len(found.steps) in (25, 26), "none of the future"
    assert [at for at, _ in found.steps] == sorted(at for at, _ in found.steps)
    assert found.total.accepted == 1
    assert found.counted_until == pytest.approx(now, abs=60)


def test_old_steps_are_forgotten_and_the_sums_since_ever_stay(ledger: Ledger, desk: Desk, tallies: Tallies) -> None:
    read_through(ledger, desk.accept(submission()).document_id)
    count_all(tallies)
    with ledger.unit_of_work() as session:
        session.execute(text("UPDATE tally SET bucket = bucket - 4 * 86400 WHERE resolution > 0"))
    tallies.forget_old()
    now = time.time()
    assert tallies.series(ALL_TENANTS, now - 5 * DAY, now, FIVE_MINUTES).total.accepted == 0
    assert tallies.series(ALL_TENANTS, now - 5 * DAY, now, HOUR).total.accepted == 1
    assert {row.measure: row.amount for row in tallies.totals()}[Measure.ACCEPTED] == 1


def test_what_commits_late_is_counted_all_the_same(on_postgres: Ledger) -> None:
    """Writers that commit in another order than they began, with looks in between: Postgres numbers rows early."""
    ledger = on_postgres
    Access(ledger).ensure_tenant("acme", "acme")
    desk, tallies = Desk(ledger), Tallies(ledger)
    count_all(tallies)
    with ledger.unit_of_work() as slow:
        slow.execute(
            text(
                "INSERT INTO event (at, entity, document_id, from_state, to_state, token, worker, cause) "
                "VALUES (extract(epoch FROM now()), 'slice', 'x', 'running', 'done', 0, '', '')"
            )
        )
        for _ in range(5):
            desk.accept(submission())
            tallies.count_events()
        assert told(tallies).accepted == 0, "an earlier number is not committed yet"
    count_all(tallies)
    assert told(tallies).accepted == 5


def test_several_that_count_at_once_count_each_event_once(on_postgres: Ledger) -> None:
    ledger = on_postgres
    Access(ledger).ensure_tenant("acme", "acme")
    desk = Desk(ledger)
    stop, errors = threading.Event(), []

    def count() -> None:
        try:
            while not stop.is_set():
                Tallies(ledger).count_events()
                time.sleep(random.random() / 100)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=count) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(40):
        desk.accept(submission())
    stop.set()
    for thread in threads:
        thread.join()
    count_all(Tallies(ledger))
    assert errors == []
    assert told(Tallies(ledger)).accepted == 40
