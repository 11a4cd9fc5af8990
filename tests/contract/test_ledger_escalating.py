"""Pages that go on to the cloud step and come back; on every database the ledger runs on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from docfleet.domain.retry import Failure, FailureKind
from docfleet.domain.urgency import Pool
from docfleet.domain.work import DocumentState, SliceState, Step
from docfleet.errors import Fenced, LedgerError
from docfleet.ledger import Claim, Ledger, NewSlice, PageOutcome, Plan
from docfleet.ledger.escalating import Escalating
from ledger_driver import audit, pass_time, read
from service_driver import document_row, submit


@pytest.fixture
def ledger(address: str | Path) -> Iterator[Ledger]:
    with Ledger.open(address, jitter=lambda: 0.0) as opened:
        yield opened
        audit(opened)


def short_document(ledger: Ledger, pages: int = 3, cloud: tuple[tuple[int, int], ...] = ((2, 3),)) -> str:
    """A document read in one go, of which some pages went on."""
    document = submit(ledger)
    [plan] = ledger.claim_next("slot", [Pool.PDF])
    slices = [NewSlice(Step.CLOUD, first, last, '{"x": 1}') for first, last in cloud]
    state = Escalating(ledger).finish_short(plan, Plan(pages), read(1, pages, "local"), "k/local", slices)
    assert state is DocumentState.RUNNING
    return document


def claim_cloud(ledger: Ledger, limit: int = 30) -> list[Claim]:
    return ledger.claim_next("cloud", [Pool.CLOUD], limit)


def end_document(ledger: Ledger) -> DocumentState:
    [assemble] = ledger.claim_next("slot", [Pool.PDF])
    return ledger.finish_document(assemble)


def test_cloud_slices_are_for_cloud_workers_alone(ledger: Ledger) -> None:
    short_document(ledger)
    assert ledger.claim_next("slot", [Pool.PDF, Pool.IMAGE]) == []
    assert ledger.window(Pool.PDF, 10) == []
    [claim] = claim_cloud(ledger)
    assert (claim.step, claim.first_page, claim.last_page, claim.payload_json) == (Step.CLOUD, 2, 3, '{"x": 1}')


def test_what_the_cloud_read_takes_the_place_of_what_was_read_here(ledger: Ledger) -> None:
    document = short_document(ledger)
    [claim] = claim_cloud(ledger)
    Escalating(ledger).finish_cloud(claim, "k/cloud", [PageOutcome(page, engine="c", cost_usd=1.0) for page in (2, 3)])
    records = list(ledger.pages_of(document))
    assert [(record.page.engine, record.result_key) for record in records] == [
        ("local", "k/local"), ("c", "k/cloud"), ("c", "k/cloud")
    ]  # fmt: skip
    # both readings were paid for
    assert [record.page.cost_usd for record in records] == [0.25, 1.25, 1.25]
    assert document_row(ledger, document).state is DocumentState.ASSEMBLING
    assert end_document(ledger) is DocumentState.SUCCEEDED


def test_what_the_cloud_did_not_read_stands_and_says_why(ledger: Ledger) -> None:
    document = short_document(ledger)
    [claim] = claim_cloud(ledger)
    outcomes = [PageOutcome(2, "cloud_refused", detail="too dear \x00"), PageOutcome(3, engine="c")]
    Escalating(ledger).finish_cloud(claim, "k/cloud", outcomes)
    pages = {record.page.page: record for record in ledger.pages_of(document)}
    assert (pages[2].page.outcome, pages[2].result_key) == ("read", "k/local")
    assert pages[2].page.detail == "The local result stands: too dear \ufffd"
    assert end_document(ledger) is DocumentState.SUCCEEDED


def test_a_page_that_was_not_read_here_fails_with_the_cloud(ledger: Ledger) -> None:
    document = submit(ledger)
    [plan] = ledger.claim_next("slot", [Pool.PDF])
    Escalating(ledger).finish_short(plan, Plan(2), read(1, 1), "k/local", [NewSlice(Step.CLOUD, 2, 2)])
    [claim] = claim_cloud(ledger)
    Escalating(ledger).finish_cloud(claim, "", [PageOutcome(2, "cloud_refused", detail="no")])
    assert end_document(ledger) is DocumentState.PARTIAL
    assert document_row(ledger, document).code == "cloud_refused"


def test_a_finish_may_be_told_twice_and_counts_once(ledger: Ledger) -> None:
    document = short_document(ledger)
    [claim] = claim_cloud(ledger)
    outcomes = [PageOutcome(page, engine="c", cost_usd=1.0) for page in (2, 3)]
    for _ in range(2):
        Escalating(ledger).finish_cloud(claim, "k/cloud", outcomes)
    assert [record.page.cost_usd for record in ledger.pages_of(document)] == [0.25, 1.25, 1.25]


def test_what_is_paid_is_written_with_the_end_or_not_at_all(ledger: Ledger) -> None:
    document = short_document(ledger)
    [claim] = claim_cloud(ledger)

    def pay(session: Session) -> None:
        raise LedgerError("the purse is torn")

    with pytest.raises(LedgerError, match="torn"):
        Escalating(ledger).finish_cloud(claim, "k/cloud", read(2, 3, "c"), also=pay)
    assert [record.page.engine for record in ledger.pages_of(document)] == ["local"] * 3
    assert not ledger.beat("cloud", [claim])


def test_a_stale_cloud_worker_changes_nothing(ledger: Ledger) -> None:
    document = short_document(ledger)
    [stale] = claim_cloud(ledger)
    pass_time(ledger, 60)
    ledger.expire_leases()
    [fresh] = claim_cloud(ledger)
    paid: list[int] = []
    with pytest.raises(Fenced):
        Escalating(ledger).finish_cloud(stale, "k/stale", read(2, 3, "stale"), also=lambda session: paid.append(1))
    assert not paid
    Escalating(ledger).finish_cloud(fresh, "k/fresh", read(2, 3, "fresh"))
    assert [record.page.engine for record in ledger.pages_of(document)] == ["local", "fresh", "fresh"]


def test_a_slice_is_passed_on_in_smaller_ones(ledger: Ledger) -> None:
    document = short_document(ledger)
    [claim] = claim_cloud(ledger)
    smaller = [NewSlice(Step.CLOUD, page, page) for page in (2, 3)]
    assert Escalating(ledger).finish_cloud(claim, "", [], smaller) is DocumentState.RUNNING
    second, third = claim_cloud(ledger)
    Escalating(ledger).finish_cloud(second, "k/2", read(2, 2, "c"))
    Escalating(ledger).finish_cloud(third, "", [PageOutcome(3, "engine_failed", detail="guilty")])
    assert [record.page.engine for record in ledger.pages_of(document)] == ["local", "c", "local"]


def test_waiting_burns_no_attempt(ledger: Ledger) -> None:
    short_document(ledger)
    for _ in range(5):
        [claim] = claim_cloud(ledger)
        ledger.hand_back(claim, "quota_exhausted", after_seconds=30)
        assert claim_cloud(ledger) == []
        pass_time(ledger, 30)
    [claim] = claim_cloud(ledger)
    assert (claim.error_count, claim.crash_count) == (0, 0)
    Escalating(ledger).finish_cloud(claim, "k/cloud", read(2, 3, "c"))


def test_many_slices_of_many_documents_in_one_claim(ledger: Ledger) -> None:
    for _ in range(8):
        short_document(ledger, 3, ((1, 1), (3, 3)))
    claims = claim_cloud(ledger, 12)
    assert len(claims) == len({claim.slice_id for claim in claims}) == 12
    assert len(claim_cloud(ledger, 12)) == 4


def test_a_dead_cloud_slice_leaves_the_local_pages_and_tells_of_itself(ledger: Ledger) -> None:
    document = short_document(ledger)
    [claim] = claim_cloud(ledger)
    ended = ledger.fail(claim, Failure(FailureKind.ERROR, "engine_failed", "It broke.", retryable=False))
    assert ended.document_state is DocumentState.ASSEMBLING
    assert end_document(ledger) is DocumentState.PARTIAL
    assert [record.page.outcome for record in ledger.pages_of(document)] == ["read"] * 3


def test_outcomes_and_slices_must_be_the_pages(ledger: Ledger) -> None:
    submit(ledger)
    [plan] = ledger.claim_next("slot", [Pool.PDF])
    desk = Escalating(ledger)
    for outcomes, slices in (
        (read(1, 2), []),
        (read(1, 3), [NewSlice(Step.CLOUD, 4, 4)]),
        ([*read(1, 3), *read(1, 1)], []),
    ):
        with pytest.raises(LedgerError):
            desk.finish_short(plan, Plan(3), outcomes, "k", slices)
    desk.finish_short(plan, Plan(3), [], "", [NewSlice(Step.CLOUD, 1, 3)])
    [claim] = claim_cloud(ledger)
    with pytest.raises(LedgerError):
        desk.finish_cloud(claim, "", read(1, 2))
    with pytest.raises(LedgerError):
        desk.finish_cloud(plan, "", read(1, 3))
    desk.finish_cloud(claim, "k", read(1, 3))


def test_making_a_cloud_slice_wakes_those_who_listen(on_postgres: Ledger) -> None:
    import psycopg

    url = on_postgres.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as listening:
        listening.execute("LISTEN docfleet_cloud")
        short_document(on_postgres)
        assert list(listening.notifies(timeout=5, stop_after=1))
    with on_postgres.reading() as session:
        pools = session.execute(text("SELECT step, pool, state FROM slice ORDER BY id")).all()
    assert [tuple(row) for row in pools] == [
        ("plan", "pdf", SliceState.DONE), ("local", "pdf", SliceState.DONE), ("cloud", "cloud", SliceState.QUEUED)
    ]  # fmt: skip
