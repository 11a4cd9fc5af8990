"""Changing the state of a document, together with the event that tells of it and with what follows from its end.

Statements that run for every slice are built once, here and in the other files of this folder: building one costs
more than running it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from docfleet.domain.work import DOCUMENT_ENDS, OPEN_SLICES, DocumentState, SliceState
from docfleet.errors import LedgerError
from docfleet.ledger.after_end import after_end
from docfleet.ledger.cutting import (
    SECONDS_PER_STEP,
    SERVICE_EPOCH,
    STRIDE_SECONDS,
    WHOLE,
    Suspicion,
    add_slices,
)
from docfleet.ledger.dialect import database_now
from docfleet.ledger.recording import (
    FACTS,
    LockedDocument,
    lock_document,
    record_documents,
    record_slices,
)
from docfleet.ledger.rows import DOCUMENT, SLICE, SliceRow

__all__ = [
    "SECONDS_PER_STEP",
    "SERVICE_EPOCH",
    "STRIDE_SECONDS",
    "WHOLE",
    "LockedDocument",
    "Suspicion",
    "add_slices",
    "cancel_open_slices",
    "lock_document",
    "move_document",
    "record_documents",
    "record_slices",
]


def move_document(
    session: Session, document: LockedDocument, to: DocumentState, cause: str, **columns: Any
) -> LockedDocument:
    """Guarded: raises LedgerError when the document is no longer in the state it was read in, or may not move there."""
    if to in DOCUMENT_ENDS:
        columns["sealed_passwords"] = None  # nobody needs them any more
    moved = session.execute(
        update(DOCUMENT)
        .where(DOCUMENT.c.id == document.id, DOCUMENT.c.state == document.state)
        .values(state=to, **columns)
        .returning(*FACTS)
    ).one_or_none()
    if moved is None:
        raise LedgerError(f"document {document.id} is no longer {document.state}")
    record_documents(session, [document.id], document.state, to, cause)
    ended = LockedDocument(*moved)
    if to in DOCUMENT_ENDS:
        after_end(session, ended)
    return ended


def cancel_open_slices(session: Session, document: LockedDocument, cause: str) -> int:
    """Takes the document's waiting and running slices away; a worker that has one learns it at its next beat."""
    open_slices = session.execute(
        select(SliceRow.id, SliceRow.state, SliceRow.token, SliceRow.worker)
        .where(SliceRow.document_id == document.id, SliceRow.state.in_(sorted(OPEN_SLICES)))
        .with_for_update()
    ).all()
    session.execute(
        update(SLICE)
        .where(SLICE.c.document_id == document.id, SLICE.c.state.in_(sorted(OPEN_SLICES)))
        .values(state=SliceState.CANCELLED, lease_until=None, finished_at=database_now())
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
