"""Postgres: the shortest way to a document's end writes what the longer way writes, and steps back for others."""

from __future__ import annotations

from typing import Any

import pytest
from desk_driver import RESULTS, submission
from msgspec.structs import replace
from sqlalchemy import text

from docfleet.domain.work import DocumentState
from docfleet.ledger import Claim, DocumentSummary, Ledger, PageOutcome, Plan, in_one
from docfleet.ledger.access import Access
from docfleet.ledger.desk import Desk
from docfleet.ledger.webhooks import Webhooks
from ledger_driver import audit, read

SUMMARY = DocumentSummary("contents/c/results/1-1", results_json=RESULTS)
OUTCOMES = [*read(1, 1), PageOutcome(2, outcome="damaged", detail="Broken.", seconds=1.5)]
_FLEETING = {"id", "document_id", "at", "created_at", "started_at", "finished_at", "available_at", "lease_until",
             "slice_id", "xact", "sha256", "content_id", "options_digest", "batch_id", "priority"}  # fmt: skip


@pytest.fixture
def ledger(on_postgres: Ledger) -> Ledger:
    return on_postgres


def begun(ledger: Ledger, **given: Any) -> tuple[str, Claim]:
    document = Desk(ledger).accept(submission(**given)).document_id
    [claim] = [claim for claim in ledger.claim_next("w", ["pdf"], limit=9) if claim.document.id == document]
    return document, claim


def all_rows(ledger: Ledger, document: str) -> dict[str, list[dict[str, Any]]]:
    """What the ledger holds of a document, but for names and times that differ from one to the next."""
    rows = {}
    with ledger.reading() as session:
        for table, key in (
            ("document", "id"),
            ("slice", "document_id"),
            ("page", "document_id"),
            ("event", "document_id"),
        ):
            found = session.execute(text(f"SELECT * FROM {table} WHERE {key} = :id ORDER BY 1"), {"id": document})
            rows[table] = [
                {name: value for name, value in row.items() if name not in _FLEETING}
                | {f"has {name}": row[name] is not None for name in ("started_at", "finished_at") if name in row}
                for row in map(dict, found.mappings())
            ]
    return rows


def at_once(ledger: Ledger, claim: Claim, outcomes: list[PageOutcome]) -> DocumentState | None:
    assert ledger._committing is not None
    with ledger._committing.connect() as link:
        return in_one.finish_at_once(link, claim, Plan(len(outcomes)), outcomes, "k", SUMMARY)


@pytest.mark.parametrize("outcomes", [OUTCOMES, OUTCOMES[:1], OUTCOMES[1:]], ids=["partial", "succeeded", "failed"])
def test_both_ways_write_the_same(ledger: Ledger, outcomes: list[PageOutcome]) -> None:
    outcomes = [replace(outcome, page=number) for number, outcome in enumerate(outcomes, 1)]
    (short, claim), (long, other) = begun(ledger), begun(ledger)
    state = at_once(ledger, claim, outcomes)
    with ledger.unit_of_work() as session:
        assert in_one.finish_in_one(session, other, Plan(len(outcomes)), outcomes, "k", SUMMARY) is state
    for table, rows in all_rows(ledger, short).items():
        for row, same in zip(rows, all_rows(ledger, long)[table], strict=True):
            assert row.items() ^ same.items() == set(), table
    audit(ledger)


def test_a_claim_writes_the_same_either_way(ledger: Ledger) -> None:
    desk = Desk(ledger)
    ids = [desk.accept(submission()).document_id for _ in range(2)]
    short, long = ledger.window("pdf", 2)
    assert ledger.claim_slice("w", short.slice_id) is not None
    ledger._committing = None
    assert ledger.claim_slice("w", long.slice_id) is not None
    assert all_rows(ledger, ids[0]) == all_rows(ledger, ids[1])


def test_a_document_that_others_follow_is_left_to_the_longer_way(ledger: Ledger) -> None:
    document, claim = begun(ledger, text="the same")
    follower = Desk(ledger).accept(submission("the same")).document_id
    before = all_rows(ledger, document)
    assert at_once(ledger, claim, OUTCOMES) is None
    assert all_rows(ledger, document) == before
    ledger.finish_in_one(claim, Plan(1), read(1, 1), "k", SUMMARY)
    assert Desk(ledger).document("acme", follower).state is DocumentState.SUCCEEDED


def test_a_tenant_that_wants_to_be_told_is_told(ledger: Ledger) -> None:
    Access(ledger).ensure_tenant("acme", "Acme")
    webhook = Webhooks(ledger).add("acme", "https://example.org/hook", b"sealed", ["document.succeeded"])
    document, claim = begun(ledger)
    assert at_once(ledger, claim, OUTCOMES) is None
    ledger.finish_in_one(claim, Plan(1), read(1, 1), "k", SUMMARY)
    deliveries = Webhooks(ledger).deliveries("acme", webhook.id).items
    assert [delivery.document_id for delivery in deliveries] == [document]


def test_a_document_of_a_batch_may_be_its_last(ledger: Ledger) -> None:
    desk = Desk(ledger)
    batch = desk.open_batch("acme", "letters").id
    _, claim = begun(ledger, batch_id=batch)
    assert at_once(ledger, claim, OUTCOMES) is None


def test_a_row_that_somebody_holds_is_not_waited_for(ledger: Ledger) -> None:
    """Who holds it may be about to follow the document, or to cancel it."""
    document, claim = begun(ledger)
    with ledger.unit_of_work() as session:
        session.execute(text("SELECT 1 FROM document WHERE id = :id FOR SHARE"), {"id": document})
        assert at_once(ledger, claim, OUTCOMES) is None
    assert at_once(ledger, claim, OUTCOMES) is DocumentState.PARTIAL


def test_a_stale_or_cancelled_claim_writes_nothing(ledger: Ledger) -> None:
    document, stale = begun(ledger)
    ledger.hand_back(stale)
    before = all_rows(ledger, document)
    assert at_once(ledger, stale, OUTCOMES) is None
    assert all_rows(ledger, document) == before
    document, claim = begun(ledger)
    Desk(ledger).cancel("acme", document)
    before = all_rows(ledger, document)
    assert at_once(ledger, claim, OUTCOMES) is None
    assert all_rows(ledger, document) == before


def test_said_again_after_an_answer_that_was_lost(ledger: Ledger) -> None:
    document, claim = begun(ledger)
    assert at_once(ledger, claim, OUTCOMES) is DocumentState.PARTIAL
    before = all_rows(ledger, document)
    assert ledger.finish_in_one(claim, Plan(2), OUTCOMES, "k", SUMMARY) is DocumentState.PARTIAL
    assert all_rows(ledger, document) == before
