"""Questions to the ledger. None of them changes anything."""

from __future__ import annotations

import json
from collections.abc import Iterator

from sqlalchemy import ColumnElement, and_, exists, func, select
from sqlalchemy.orm import Session, aliased

from docfleet.domain.work import PAGE_READ, DocumentState, SliceState
from docfleet.ledger.rows import BatchRow, DocumentRow, EventRow, InputRow, PageRow, SliceRow
from docfleet.ledger.values import DeadLetter, Event, IndexRow, NewBatch, PageOutcome, PageRecord, Progress


def is_wanted() -> ColumnElement[bool]:
    """Some input points to the document; others were superseded by new bytes or options and count no more."""
    return exists().where(InputRow.document_id == DocumentRow.id)


def find_batch(session: Session, key: str) -> str | None:
    return session.execute(select(BatchRow.id).where(BatchRow.key == key)).scalar_one_or_none()


def list_batches(session: Session) -> list[tuple[str, NewBatch]]:
    """(id, what it was made from), the oldest first."""
    rows = session.execute(select(BatchRow).order_by(BatchRow.created_at, BatchRow.id)).scalars()
    return [(row.id, NewBatch(row.key, row.label, "", row.options_json)) for row in rows]


def progress(session: Session, batch_id: str) -> Progress:
    inputs, refused = session.execute(
        select(func.count(), func.count().filter(InputRow.document_id.is_(None))).where(InputRow.batch_id == batch_id)
    ).one()
    documents = dict.fromkeys(DocumentState, 0)
    pages = 0
    for state, count, known in session.execute(
        select(DocumentRow.state, func.count(), func.coalesce(func.sum(DocumentRow.pages), 0))
        .where(DocumentRow.batch_id == batch_id, is_wanted())
        .group_by(DocumentRow.state)
    ):
        documents[state] = count
        if state is not DocumentState.CANCELLED:
            pages += known or 0
    slices = dict.fromkeys(SliceState, 0)
    for slice_state, count in session.execute(
        select(SliceRow.state, func.count()).where(SliceRow.batch_id == batch_id).group_by(SliceRow.state)
    ):
        slices[slice_state] = count
    read, ended = session.execute(
        select(func.count().filter(PageRow.outcome == PAGE_READ), func.count(PageRow.number))
        .join(DocumentRow, DocumentRow.id == PageRow.document_id)
        .where(DocumentRow.batch_id == batch_id, DocumentRow.state != DocumentState.CANCELLED, is_wanted())
    ).one()
    return Progress(inputs, refused, documents, slices, pages, read, ended - read)


def rows_for_index(session: Session, batch_id: str) -> Iterator[IndexRow]:
    """One row per input in the order of submission, streamed."""
    other, first = aliased(InputRow), aliased(InputRow)
    first_id = (
        select(func.min(other.id))
        .where(other.document_id == InputRow.document_id)
        .correlate(InputRow)
        .scalar_subquery()
    )
    rows = session.execute(
        select(InputRow, DocumentRow, first.name)
        .outerjoin(DocumentRow, DocumentRow.id == InputRow.document_id)
        .outerjoin(first, and_(first.id == first_id, first.id != InputRow.id))
        .where(InputRow.batch_id == batch_id)
        .order_by(InputRow.id)
        .execution_options(yield_per=500)
    )
    for submitted, document, duplicate_of in rows:
        yield _index_row(submitted, document, duplicate_of)


def _index_row(submitted: InputRow, document: DocumentRow | None, duplicate_of: str | None) -> IndexRow:
    said = document if document is not None else submitted
    return IndexRow(
        input_id=submitted.id,
        name=submitted.name,
        path=submitted.path,
        member=submitted.member,
        sha256=submitted.sha256,
        size_bytes=submitted.size_bytes,
        document_id=submitted.document_id,
        duplicate_of=duplicate_of,
        state=document.state if document else None,
        code=said.code,
        message=said.message,
        detail=said.detail,
        media_type=document.media_type if document else "",
        pages=document.pages if document else None,
        pages_read=document.pages_read if document else 0,
        pages_failed=document.pages_failed if document else 0,
        engines=json.loads(document.engines_json) if document else {},
        confidence=document.confidence if document else None,
        cost_usd=document.cost_usd if document else 0.0,
        work_seconds=document.work_seconds if document else 0.0,
        folder=document.folder if document else None,
        result_key=document.result_key if document else "",
        started_at=document.started_at if document else None,
        finished_at=document.finished_at if document else None,
    )


def pages_of(session: Session, document_id: str) -> Iterator[PageRecord]:
    """The document's page outcomes in order, each with the key of the slice result that holds it; streamed."""
    rows = session.execute(
        select(PageRow, SliceRow.step, SliceRow.result_key)
        .join(SliceRow, SliceRow.id == PageRow.slice_id)
        .where(PageRow.document_id == document_id)
        .order_by(PageRow.number)
        .execution_options(yield_per=500)
    )
    for page, step, result_key in rows:
        outcome = PageOutcome(
            page.number, page.outcome, page.engine, page.reason, page.detail, page.confidence, page.cost_usd,
            page.seconds, page.quality,
        )  # fmt: skip
        yield PageRecord(outcome, page.slice_id, step, result_key)


def dead_letters(session: Session, batch_id: str) -> list[DeadLetter]:
    """Slices given up, the latest round of their document only, in the order they died."""
    first_name = (
        select(InputRow.name).where(InputRow.document_id == SliceRow.document_id).order_by(InputRow.id).limit(1)
    )
    rows = session.execute(
        select(SliceRow, first_name.correlate(SliceRow).scalar_subquery())
        .join(DocumentRow, and_(DocumentRow.id == SliceRow.document_id, DocumentRow.round == SliceRow.round))
        .where(SliceRow.batch_id == batch_id, SliceRow.state == SliceState.DEAD, is_wanted())
        .order_by(SliceRow.finished_at, SliceRow.id)
    )
    return [
        DeadLetter(
            row.id, row.document_id, name or "", row.round, row.step, row.first_page, row.last_page, row.code,
            row.message, row.detail, row.attempt, row.crash_count, row.error_count, row.worker, row.finished_at or 0.0,
        )
        for row, name in rows
    ]  # fmt: skip


def events_of(session: Session, document_id: str) -> list[Event]:
    """All that happened to a document and its slices, in order."""
    rows = session.execute(select(EventRow).where(EventRow.document_id == document_id).order_by(EventRow.id)).scalars()
    return [
        Event(
            row.id, row.at, row.entity, row.document_id, row.slice_id, row.from_state, row.to_state, row.token,
            row.worker, row.cause,
        )
        for row in rows
    ]  # fmt: skip


def is_drained(session: Session, batch_id: str) -> bool:
    """Nothing of the batch is waiting or running."""
    open_slice = (
        select(SliceRow.id)
        .where(SliceRow.batch_id == batch_id, SliceRow.state.in_((SliceState.QUEUED, SliceState.RUNNING)))
        .limit(1)
    )
    return session.execute(open_slice).first() is None
