"""What a person asks for afterwards: try the failures again, or stop a batch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from docfleet.domain.work import (
    DOCUMENT_ENDS,
    PAGE_READ,
    PAGE_STEPS,
    DocumentState,
    SliceState,
    Step,
    page_ranges,
)
from docfleet.ledger.dialect import database_now
from docfleet.ledger.moves import WHOLE, LockedDocument, add_slices, cancel_open_slices, lock_document, move_document
from docfleet.ledger.reading import is_wanted
from docfleet.ledger.registering import restart
from docfleet.ledger.rows import DocumentRow, PageRow, SliceRow
from docfleet.ledger.values import NewSlice

PAGES_PER_RETRY = 10


def retry_failed(session: Session, batch_id: str, codes: Collection[str] | None) -> int:
    """Starts a new round of each FAILED or PARTIAL document (of these codes only, when given); returns how many.

    Only what failed is done again: pages that were read stay read.
    """
    failed = select(DocumentRow.id).where(
        DocumentRow.batch_id == batch_id,
        DocumentRow.state.in_((DocumentState.FAILED, DocumentState.PARTIAL)),
        is_wanted(),
    )
    if codes is not None:
        failed = failed.where(DocumentRow.code.in_(sorted(codes)))
    count = 0
    for document_id in session.execute(failed.order_by(DocumentRow.id)).scalars().all():
        document = lock_document(session, document_id)
        if document.state in (DocumentState.FAILED, DocumentState.PARTIAL):
            retry_document(session, document)
            count += 1
    return count


def retry_document(session: Session, document: LockedDocument, only: Collection[int] | None = None) -> None:
    """A new round of a FAILED or PARTIAL document, of these pages only when given; the others stay as they are."""
    if not document.pages:
        restart(session, document, "tried again")
        return
    slices = _slices_to_redo(session, document, document.pages, only)
    state = DocumentState.RUNNING if slices else DocumentState.ASSEMBLING
    document = move_document(
        session, document, state, "tried again",
        round=document.round + 1, code="", message="", detail="", finished_at=None,
    )  # fmt: skip
    add_slices(session, document, slices or [WHOLE[Step.ASSEMBLE]])


def _slices_to_redo(
    session: Session, document: LockedDocument, pages: int, only: Collection[int] | None
) -> list[NewSlice]:
    """The pages that were not read, and those of dead slices, in slices like the ones they failed in."""
    dead = (
        session.execute(
            select(SliceRow).where(
                SliceRow.document_id == document.id,
                SliceRow.round == document.round,
                SliceRow.step.in_(sorted(PAGE_STEPS)),
                SliceRow.state == SliceState.DEAD,
            )
        )
        .scalars()
        .all()
    )
    rows = session.execute(
        select(PageRow.number, PageRow.outcome, SliceRow.step, SliceRow.payload_json, SliceRow.priority)
        .join(SliceRow, SliceRow.id == PageRow.slice_id)
        .where(PageRow.document_id == document.id)
    ).all()
    told = {row.number for row in rows}
    groups: dict[tuple[Step, str, int | None], set[int]] = defaultdict(set)
    for row in rows:
        if row.outcome != PAGE_READ:
            groups[row.step, row.payload_json, row.priority].add(row.number)
    for item in dead:
        groups[item.step, item.payload_json, item.priority] |= set(range(item.first_page, item.last_page + 1))
    groups[Step.LOCAL, "", None] |= set(range(1, pages + 1)) - told
    new: dict[tuple[Step, int], NewSlice] = {}
    for (step, payload, priority), numbers in groups.items():
        for first, last in page_ranges(sorted(numbers if only is None else numbers & set(only))):
            for start in range(first, last + 1, PAGES_PER_RETRY):
                new[step, start] = NewSlice(step, start, min(last, start + PAGES_PER_RETRY - 1), payload, priority)
    return list(new.values())


def cancel_batch(session: Session, batch_id: str, cause: str) -> int:
    """Ends every open document of the batch as CANCELLED; workers learn it at their next beat. Returns how many."""
    open_documents = (
        session.execute(
            select(DocumentRow.id)
            .where(DocumentRow.batch_id == batch_id, DocumentRow.state.not_in(sorted(DOCUMENT_ENDS)))
            .order_by(DocumentRow.id)
        )
        .scalars()
        .all()
    )
    count = 0
    for document_id in open_documents:
        document = lock_document(session, document_id)
        if document.state not in DOCUMENT_ENDS:
            cancel_open_slices(session, document, cause)
            move_document(session, document, DocumentState.CANCELLED, cause, finished_at=database_now(), follows=None)
            count += 1
    return count
