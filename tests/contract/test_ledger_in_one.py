"""The short way: a document planned, read and assembled under one claim; on every database the ledger runs on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from docfleet.domain.retry import Failure, FailureKind
from docfleet.domain.work import DocumentState, Step
from docfleet.errors import EngineFailed, Fenced, LedgerError
from docfleet.ledger import BOTH_LANES, Claim, DocumentSummary, Ledger, PageOutcome, Plan
from docfleet.ledger.counting import counting_statements
from ledger_driver import BATCH, audit, file_named, finish_pages, pass_time, read
from service_driver import document_row, submit

SUMMARY = DocumentSummary("contents/c/results/1-1", results_json='[{"format":"json"}]')


@pytest.fixture
def ledger(address: str | Path) -> Iterator[Ledger]:
    with Ledger.open(address, jitter=lambda: 0.0) as opened:
        yield opened
        audit(opened)


def claim_one(ledger: Ledger, worker: str = "w") -> Claim:
    [claim] = ledger.claim_next(worker, ["pdf"], lanes=BOTH_LANES)
    return claim


HOSTILE = "NUL \x00 and half a pair \ud800"


def test_what_no_database_stores_is_no_reason_to_fail(ledger: Ledger) -> None:
    document = submit(ledger)
    claim = claim_one(ledger)
    told = PageOutcome(1, engine=HOSTILE, reason=HOSTILE, detail=HOSTILE, confidence=0.5)
    bad = PageOutcome(2, outcome="engine_failed", detail=HOSTILE)
    summary = DocumentSummary("k", HOSTILE)
    assert ledger.finish_in_one(claim, Plan(2), [told, bad], "k", summary) is DocumentState.PARTIAL
    assert document_row(ledger, document).message.endswith("NUL \ufffd and half a pair \ufffd")


def test_a_failure_may_say_what_no_database_stores(ledger: Ledger) -> None:
    document = submit(ledger)
    failure = Failure(FailureKind.ERROR, "engine_failed", HOSTILE, HOSTILE, retryable=False)
    assert ledger.fail(claim_one(ledger), failure).document_state is DocumentState.FAILED
    assert "\ufffd" in document_row(ledger, document).message


def test_a_short_document_ends_with_its_plan(ledger: Ledger) -> None:
    document = submit(ledger)
    claim = claim_one(ledger)
    state = ledger.finish_in_one(claim, Plan(3, "image/tiff", '{"a": 1}'), read(1, 3), "k/pages.msgpack", SUMMARY)
    row = document_row(ledger, document)
    assert state is row.state is DocumentState.SUCCEEDED
    assert (row.pages, row.pages_read, row.pages_failed, row.plan_json) == (3, 3, 0, '{"a": 1}')
    assert (row.result_key, row.results_json, row.media_type) == (
        SUMMARY.result_key, SUMMARY.results_json, "image/tiff",
    )  # fmt: skip
    assert (row.engines_json, row.cost_usd, row.work_seconds, row.confidence) == ('{"text": 3}', 0.75, 6.0, 0.5)
    assert row.started_at is not None
    assert row.finished_at is not None
    assert row.started_at <= row.finished_at
    [first, *_] = ledger.pages_of(document)
    assert (first.step, first.result_key) == (Step.LOCAL, "k/pages.msgpack")
    assert [event.to_state for event in ledger.events_of(document) if event.entity == "document"] == [
        "received", "succeeded",
    ]  # fmt: skip
    assert ledger.claim_next("w", ["pdf"]) == []


def test_a_short_document_costs_few_statements(ledger: Ledger) -> None:
    submit(ledger)
    [one] = ledger.window("pdf", 1)
    with counting_statements(ledger) as counted:
        claim = ledger.claim_slice("w", one.slice_id)
        assert claim is not None
        ledger.finish_in_one(claim, Plan(1), read(1, 1), "k", SUMMARY)
    # SQLite says BEGIN itself
    assert counted.total() - counted["BEGIN"] <= 14, counted


def test_it_ends_once_however_often_it_is_said(ledger: Ledger) -> None:
    document = submit(ledger)
    claim = claim_one(ledger)
    for _ in range(2):
        assert ledger.finish_in_one(claim, Plan(1), read(1, 1), "k", SUMMARY) is DocumentState.SUCCEEDED
    assert len(ledger.events_of(document)) == 6


def test_a_stale_worker_ends_nothing(ledger: Ledger) -> None:
    document = submit(ledger)
    stale = claim_one(ledger)
    ledger.hand_back(stale)
    claim = claim_one(ledger, "other")
    with pytest.raises(Fenced):
        ledger.finish_in_one(stale, Plan(1), read(1, 1), "stale", DocumentSummary("stale"))
    assert document_row(ledger, document).state is DocumentState.RECEIVED
    ledger.finish_in_one(claim, Plan(1), read(1, 1), "k", SUMMARY)
    assert document_row(ledger, document).result_key == SUMMARY.result_key


def test_without_fencing_a_stale_worker_does_harm(address: str | Path) -> None:
    """So that a test of the audit has something to find."""
    with Ledger.open(address, fencing=False) as ledger:
        document = submit(ledger)
        stale = claim_one(ledger)
        ledger.hand_back(stale)
        claim = claim_one(ledger, "other")
        ledger.finish_in_one(stale, Plan(1), read(1, 1), "stale", DocumentSummary("stale"))
        ledger.finish_in_one(claim, Plan(1), read(1, 1), "k", SUMMARY)
        assert document_row(ledger, document).result_key == "stale"
        with pytest.raises(AssertionError):
            audit(ledger)


@pytest.mark.parametrize(
    ("plan", "outcomes"),
    [
        (Plan(3), read(1, 2)),
        (Plan(1), read(1, 2)),
        (Plan(2), [*read(1, 1), *read(1, 1)]),
        (Plan(0), read(1, 1)),
    ],
)
def test_outcomes_that_do_not_fit_change_nothing(ledger: Ledger, plan: Plan, outcomes: list[PageOutcome]) -> None:
    document = submit(ledger)
    claim = claim_one(ledger)
    with pytest.raises(LedgerError):
        ledger.finish_in_one(claim, plan, outcomes, "k", SUMMARY)
    assert document_row(ledger, document).state is DocumentState.RECEIVED
    assert ledger.finish_in_one(claim, Plan(1), read(1, 1), "k", SUMMARY) is DocumentState.SUCCEEDED


def test_a_document_without_pages_fails(ledger: Ledger) -> None:
    document = submit(ledger)
    assert ledger.finish_in_one(claim_one(ledger), Plan(0), []) is DocumentState.FAILED
    row = document_row(ledger, document)
    assert (row.code, row.pages) == ("no_pages", 0)


def test_a_document_of_which_no_page_was_read_fails(ledger: Ledger) -> None:
    document = submit(ledger)
    bad = [PageOutcome(page, "damaged", detail="Broken.") for page in (1, 2)]
    assert ledger.finish_in_one(claim_one(ledger), Plan(2), bad, "k") is DocumentState.FAILED
    row = document_row(ledger, document)
    assert (row.code, row.pages_read, row.pages_failed) == ("damaged", 0, 2)


def test_failed_pages_are_tried_again_the_long_way(ledger: Ledger) -> None:
    """With an input as on disk: the retry of single documents belongs to the desk."""
    batch = ledger.register(BATCH, [file_named("a.pdf")]).batch_id
    [claim] = ledger.claim("w")
    outcomes = [*read(1, 2), PageOutcome(3, "engine_failed", detail="Gave up.")]
    assert ledger.finish_in_one(claim, Plan(3), outcomes, "k1", SUMMARY) is DocumentState.PARTIAL
    row = document_row(ledger, claim.document.id)
    assert (row.code, row.message) == ("engine_failed", "Page 3 could not be read: Gave up.")
    assert ledger.retry_failed(batch) == 1
    [again] = ledger.claim("w")
    assert (again.step, again.first_page, again.last_page, again.round) == (Step.LOCAL, 3, 3, 2)
    finish_pages(ledger, again)
    [assemble] = ledger.claim("w")
    assert [page.result_key for page in ledger.pages_of(assemble.document.id)] == ["k1", "k1", again.result_prefix]
    assert ledger.finish_document(assemble, SUMMARY) is DocumentState.SUCCEEDED


def test_an_attempt_that_failed_may_end_it_later(ledger: Ledger) -> None:
    submit(ledger)
    ledger.fail(claim_one(ledger), Failure.of_error(EngineFailed()))
    pass_time(ledger, 60)
    assert ledger.finish_in_one(claim_one(ledger), Plan(1), read(1, 1), "k", SUMMARY) is DocumentState.SUCCEEDED


def test_a_cancelled_document_stays_cancelled(ledger: Ledger) -> None:
    document = submit(ledger)
    claim = claim_one(ledger)
    with ledger.reading() as session:
        batch = session.execute(text("SELECT batch_id FROM document")).scalar_one()
    ledger.cancel_batch(batch)
    with pytest.raises(Fenced):
        ledger.finish_in_one(claim, Plan(1), read(1, 1), "k", SUMMARY)
    assert document_row(ledger, document).state is DocumentState.CANCELLED
