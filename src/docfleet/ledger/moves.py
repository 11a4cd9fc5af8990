"""Changing the state of a document, or making a slice, together with the event that tells of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from docfleet.domain.work import STEP_PRIORITY, WHOLE_DOCUMENT, DocumentState, SliceState, Step
from docfleet.errors import LedgerError
from docfleet.ledger.dialect import database_now, upsert
from docfleet.ledger.rows import DocumentRow, EventRow, SliceRow
from docfleet.ledger.values import NewSlice


def lock_document(session: Session, document_id: str) -> DocumentRow:
    """The document's row, held until the transaction ends.

    Whoever ends a slice takes this lock first: so only one of two that end at once can be the last, and all lock in
    the same order.
    """
    row = session.execute(
        select(DocumentRow)
        .where(DocumentRow.id == document_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    ).scalar_one_or_none()
    if row is None:
        raise LedgerError(f"the ledger knows no document {document_id}")
    return row


def move_document(session: Session, document: DocumentRow, to: DocumentState, cause: str, **columns: Any) -> None:
    """Guarded: raises LedgerError when the document is no longer in the state it was read in, or may not move there."""
    moved = session.execute(
        update(DocumentRow)
        .where(DocumentRow.id == document.id, DocumentRow.state == document.state)
        .values(state=to, **columns)
        .execution_options(synchronize_session=False)
        .returning(DocumentRow.id)
    ).all()
    if not moved:
        raise LedgerError(f"document {document.id} is no longer {document.state}")
    record_document(session, document.id, document.state, to, cause)
    session.refresh(document)


def record_document(
    session: Session, document_id: str, before: DocumentState | None, after: DocumentState, cause: str
) -> None:
    session.execute(
        insert(EventRow).values(
            at=database_now(), entity="document", document_id=document_id, slice_id=None,
            from_state=before or "", to_state=after, token=0, worker="", cause=cause,
        )
    )  # fmt: skip


def record_slices(session: Session, events: Iterable[Mapping[str, Any]]) -> None:
    """Each with document_id, slice_id, from_state, to_state, token, worker, cause."""
    rows = [{"entity": "slice", **event} for event in events]
    if rows:
        # one row at a time would be one statement each; the clock is an expression, so it stands in the statement
        session.execute(insert(EventRow).values(at=database_now()), rows)


def add_slices(session: Session, document: DocumentRow, slices: Sequence[NewSlice]) -> int:
    """Makes the slices that are not there yet in this round of the document; returns how many were made.

    The same slice asked for twice is one slice: the unique key decides, not a look beforehand.
    """
    if not slices:
        return 0
    rows = [_slice_values(document, new) for new in slices]
    made = (
        session.execute(upsert(session, SliceRow).values(rows).on_conflict_do_nothing().returning(SliceRow.id))
        .scalars()
        .all()
    )
    record_slices(
        session,
        [
            {
                "document_id": document.id, "slice_id": slice_id, "from_state": "", "to_state": SliceState.QUEUED,
                "token": 0, "worker": "", "cause": f"round {document.round}",
            }
            for slice_id in made
        ],
    )  # fmt: skip
    return len(made)


def _slice_values(document: DocumentRow, new: NewSlice) -> dict[str, Any]:
    whole = new.step in (Step.PLAN, Step.ASSEMBLE)
    if whole != (new.first_page == new.last_page == WHOLE_DOCUMENT) or new.last_page < new.first_page:
        raise LedgerError(f"a {new.step} slice cannot have pages {new.first_page} to {new.last_page}")
    if not whole and document.pages is not None and new.last_page > document.pages:
        raise LedgerError(f"page {new.last_page} of a document of {document.pages} pages")
    priority = document.priority + STEP_PRIORITY[new.step] if new.priority is None else new.priority
    return queued_slice(document.id, document.batch_id, document.round, new, priority)


def queued_slice(document_id: str, batch_id: str, round_: int, new: NewSlice, priority: int) -> dict[str, Any]:
    return {
        "document_id": document_id, "batch_id": batch_id, "round": round_, "step": new.step,
        "first_page": new.first_page, "last_page": new.last_page, "state": SliceState.QUEUED, "priority": priority,
        "attempt": 0, "crash_count": 0, "error_count": 0, "wait_count": 0, "loss_count": 0, "token": 0,
        "lease_until": None, "worker": "", "available_at": database_now(), "isolated": False,
        "payload_json": new.payload_json, "result_key": "", "code": "", "message": "", "detail": "",
        "created_at": database_now(), "started_at": None, "finished_at": None,
    }  # fmt: skip


WHOLE = {step: NewSlice(step, WHOLE_DOCUMENT, WHOLE_DOCUMENT) for step in (Step.PLAN, Step.ASSEMBLE)}
"""The slices that are about a whole document."""


def cancel_open_slices(session: Session, document: DocumentRow, cause: str) -> int:
    """Takes the document's waiting and running slices away; a worker that has one learns it at its next beat."""
    open_slices = session.execute(
        select(SliceRow.id, SliceRow.state, SliceRow.token, SliceRow.worker)
        .where(SliceRow.document_id == document.id, SliceRow.state.in_((SliceState.QUEUED, SliceState.RUNNING)))
        .with_for_update()
    ).all()
    session.execute(
        update(SliceRow)
        .where(SliceRow.id.in_([row.id for row in open_slices]))
        .values(state=SliceState.CANCELLED, lease_until=None, finished_at=database_now())
        .execution_options(synchronize_session=False)
    )
    record_slices(
        session,
        [
            {
                "document_id": document.id, "slice_id": row.id, "from_state": row.state,
                "to_state": SliceState.CANCELLED, "token": row.token, "worker": row.worker, "cause": cause,
            }
            for row in open_slices
        ],
    )  # fmt: skip
    return len(open_slices)
