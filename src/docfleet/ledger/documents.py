"""What the end of a slice means for its document: the next step, or how it ends."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from docfleet.domain.retry import Failure
from docfleet.domain.work import (
    OPEN_SLICES,
    PAGE_READ,
    PAGE_STEPS,
    DocumentState,
    SliceState,
    Step,
    Tally,
    judge_document,
    judge_pages,
)
from docfleet.ledger.dialect import database_now, upsert
from docfleet.ledger.moves import WHOLE, add_slices, move_document
from docfleet.ledger.rows import DocumentRow, PageRow, SliceRow
from docfleet.ledger.values import DocumentSummary, PageOutcome


def write_pages(session: Session, document_id: str, slice_id: int, outcomes: Sequence[PageOutcome]) -> None:
    """The last word on each page; but a page that was read stays read when a later try at it fails."""
    if not outcomes:
        return
    insert = upsert(session, PageRow).values(
        [
            {
                "document_id": document_id, "number": page.page, "slice_id": slice_id, "outcome": page.outcome,
                "engine": page.engine, "reason": page.reason, "detail": page.detail, "confidence": page.confidence,
                "cost_usd": page.cost_usd, "seconds": page.seconds, "quality": page.quality,
            }
            for page in outcomes
        ]
    )  # fmt: skip
    new = insert.excluded
    session.execute(
        insert.on_conflict_do_update(
            index_elements=["document_id", "number"],
            set_={
                "slice_id": new.slice_id, "outcome": new.outcome, "engine": new.engine, "reason": new.reason,
                "detail": new.detail, "confidence": new.confidence, "quality": new.quality,
                # both tries were paid for
                "cost_usd": PageRow.cost_usd + new.cost_usd, "seconds": PageRow.seconds + new.seconds,
            },
            where=(PageRow.outcome != PAGE_READ) | (new.outcome == PAGE_READ),
        )
    )  # fmt: skip


def advance(session: Session, document: DocumentRow) -> DocumentState:
    """Moves a RUNNING document on once its last page slice has ended. The caller holds the document's lock."""
    if document.state is not DocumentState.RUNNING:
        return document.state
    waiting = exists().where(
        SliceRow.document_id == document.id,
        SliceRow.step.in_(sorted(PAGE_STEPS)),
        SliceRow.state.in_(sorted(OPEN_SLICES)),
    )
    if session.execute(select(waiting)).scalar():
        return document.state
    verdict = judge_pages(_tally(session, document))
    if verdict.state is DocumentState.ASSEMBLING:
        move_document(session, document, verdict.state, verdict.reason)
        add_slices(session, document, [WHOLE[Step.ASSEMBLE]])
    else:
        _end(session, document, verdict.state, verdict.reason)
    return document.state


def conclude(session: Session, document: DocumentRow, summary: DocumentSummary) -> DocumentState:
    """Ends an ASSEMBLING document as its page rows say."""
    verdict = judge_document(_tally(session, document))
    _end(session, document, verdict.state, verdict.reason, summary)
    return document.state


def give_up(session: Session, document: DocumentRow, dead: SliceRow, failure: Failure) -> None:
    """A slice died: its pages get their outcome, or, when it was about the whole document, the document ends."""
    if dead.step in PAGE_STEPS:
        detail = failure.message or failure.detail
        pages = range(dead.first_page, dead.last_page + 1)
        write_pages(session, document.id, dead.id, [PageOutcome(page, failure.code, detail=detail) for page in pages])
        advance(session, document)
    else:
        move_document(
            session, document, DocumentState.FAILED, failure.code, code=failure.code, message=failure.message,
            detail=failure.detail, started_at=document.started_at or dead.started_at, finished_at=database_now(),
        )  # fmt: skip


def _tally(session: Session, document: DocumentRow) -> Tally:
    read = session.execute(
        select(func.count()).where(PageRow.document_id == document.id, PageRow.outcome == PAGE_READ)
    ).scalar_one()
    dead = session.execute(
        select(func.count()).where(
            SliceRow.document_id == document.id,
            SliceRow.round == document.round,
            SliceRow.step.in_(sorted(PAGE_STEPS)),
            SliceRow.state == SliceState.DEAD,
        )
    ).scalar_one()
    return Tally(document.pages or 0, read, dead)


def _end(
    session: Session, document: DocumentRow, state: DocumentState, reason: str, summary: DocumentSummary | None = None
) -> None:
    pages = session.execute(select(PageRow).where(PageRow.document_id == document.id).order_by(PageRow.number))
    engines: Counter[str] = Counter()
    confidence = cost = seconds = 0.0
    failed: list[tuple[int, str, str]] = []
    for page in pages.scalars().yield_per(1000):
        cost += page.cost_usd
        seconds += page.seconds
        if page.outcome == PAGE_READ:
            engines[page.engine] += 1
            confidence += page.confidence
        else:
            failed.append((page.number, page.outcome, page.detail))
    read = engines.total()
    code, message = _cause(session, document, state, reason, failed)
    move_document(
        session, document, state, reason, code=code, message=message,
        detail=summary.detail if summary else "", result_key=summary.result_key if summary else "",
        pages_read=read, pages_failed=max(0, (document.pages or 0) - read),
        engines_json=json.dumps(dict(sorted(engines.items()))), confidence=confidence / read if read else None,
        cost_usd=cost, work_seconds=seconds, finished_at=database_now(),
    )  # fmt: skip


def _cause(
    session: Session,
    document: DocumentRow,
    state: DocumentState,
    reason: str,
    failed: Sequence[tuple[int, str, str]],
) -> tuple[str, str]:
    """Code and sentence of a document that did not succeed: those of its most frequent page failure."""
    if state is DocumentState.SUCCEEDED:
        return "", ""
    if failed:
        code = Counter(outcome for _, outcome, _ in failed).most_common(1)[0][0]
        said = next(detail for _, outcome, detail in failed if outcome == code)
        return code, f"{_name_pages([number for number, _, _ in failed])} could not be read: {said or code}"
    dead = session.execute(
        select(SliceRow.code, SliceRow.message)
        .where(SliceRow.document_id == document.id, SliceRow.round == document.round, SliceRow.state == SliceState.DEAD)
        .order_by(SliceRow.id)
    ).first()
    if dead is not None:
        return dead.code, dead.message
    if document.pages == 0:
        return "no_pages", "The document has no pages."
    return "page_missing", f"Pages without an outcome: {reason}."


def _name_pages(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:5]))
    more = f" and {len(numbers) - 5} more" if len(numbers) > 5 else ""
    return f"Page{'s' if len(numbers) > 1 else ''} {shown}{more}"
