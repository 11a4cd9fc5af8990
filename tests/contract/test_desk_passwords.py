"""Passwords of documents: there for the worker, gone when the document has ended, and never where anybody looks."""

from __future__ import annotations

import pytest
from desk_driver import fail_at_plan, read_through, submission
from sqlalchemy import text

from docfleet.domain.urgency import Urgency
from docfleet.domain.work import DocumentState
from docfleet.ledger import DocumentSummary, Ledger, Plan
from docfleet.ledger.desk import Desk

SEALED = b"sealed passwords"


def kept(ledger: Ledger, document_id: str) -> bytes | None:
    with ledger.reading() as session:
        found = session.execute(text("SELECT sealed_passwords FROM document WHERE id = :id"), {"id": document_id})
        value = found.scalar_one()
        return None if value is None else bytes(value)


def test_the_worker_gets_them_at_every_claim(desk: Desk, ledger: Ledger) -> None:
    accepted = desk.accept(submission(sealed_passwords=SEALED))
    plain = desk.accept(submission())
    claims = {claim.document.id: claim for claim in ledger.claim("reader", limit=10)}
    assert claims[accepted.document_id].document.sealed_passwords == SEALED
    assert claims[plain.document_id].document.sealed_passwords is None
    ledger.hand_back(claims[accepted.document_id])
    again = [claim for claim in ledger.claim("reader", limit=10) if claim.document.id == accepted.document_id]
    assert again[0].document.sealed_passwords == SEALED


def test_success_forgets_them(desk: Desk, ledger: Ledger) -> None:
    accepted = desk.accept(submission(sealed_passwords=SEALED))
    assert kept(ledger, accepted.document_id) == SEALED
    assert read_through(ledger, accepted.document_id) is DocumentState.SUCCEEDED
    assert kept(ledger, accepted.document_id) is None


def test_a_document_read_in_one_claim_forgets_them(desk: Desk, ledger: Ledger) -> None:
    accepted = desk.accept(submission(sealed_passwords=SEALED))
    claim = next(claim for claim in ledger.claim("reader", limit=100) if claim.document.id == accepted.document_id)
    assert ledger.finish_in_one(claim, Plan(0), [], "", DocumentSummary()) is DocumentState.FAILED
    assert kept(ledger, accepted.document_id) is None


@pytest.mark.parametrize("end", ["partial", "failed", "cancelled", "batch cancelled"])
def test_every_other_end_forgets_them(desk: Desk, ledger: Ledger, end: str) -> None:
    batch = desk.open_batch("acme", "locked", {}, "key")
    accepted = desk.accept(submission(sealed_passwords=SEALED, batch_id=batch.id))
    if end == "partial":
        assert read_through(ledger, accepted.document_id, failed=[2]) is DocumentState.PARTIAL
    elif end == "failed":
        fail_at_plan(ledger, accepted.document_id)
    elif end == "cancelled":
        desk.cancel("acme", accepted.document_id)
    else:
        desk.cancel_batch("acme", batch.id)
    assert kept(ledger, accepted.document_id) is None


def test_a_retry_brings_its_own(desk: Desk, ledger: Ledger) -> None:
    accepted = desk.accept(submission())
    fail_at_plan(ledger, accepted.document_id)
    desk.retry("acme", accepted.document_id, sealed_passwords=SEALED)
    assert kept(ledger, accepted.document_id) == SEALED
    assert read_through(ledger, accepted.document_id) is DocumentState.SUCCEEDED
    assert kept(ledger, accepted.document_id) is None


def test_whoever_waits_for_another_keeps_its_own(desk: Desk, ledger: Ledger) -> None:
    leader = desk.accept(submission("same"))
    follower = desk.accept(submission("same", sealed_passwords=SEALED))
    assert follower.duplicate_of == leader.document_id
    fail_at_plan(ledger, leader.document_id)
    claim = next(claim for claim in ledger.claim("reader", limit=100) if claim.document.id == follower.document_id)
    assert claim.document.sealed_passwords == SEALED, "read itself now, with the password it came with"


def test_whoever_takes_results_forgets_them(desk: Desk, ledger: Ledger) -> None:
    leader = desk.accept(submission("taken", sealed_passwords=SEALED))
    follower = desk.accept(submission("taken", sealed_passwords=SEALED))
    read_through(ledger, leader.document_id)
    late = desk.accept(submission("taken", sealed_passwords=SEALED, urgency=Urgency.BULK))
    for accepted in (leader, follower, late):
        assert desk.document("acme", accepted.document_id).state is DocumentState.SUCCEEDED
        assert kept(ledger, accepted.document_id) is None
