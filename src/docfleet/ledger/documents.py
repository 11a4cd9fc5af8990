"""What the end of a slice means for its document: the next step, or how it ends."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import msgspec
from sqlalchemy import bindparam, exists, func, select
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
    Verdict,
    judge_document,
    judge_pages,
)
from docfleet.ledger.checks import storable
from docfleet.ledger.dialect import database_now, upserts
from docfleet.ledger.moves import WHOLE, LockedDocument, add_slices, move_document
from docfleet.ledger.rows import PAGE, SLICE, SliceRow
from docfleet.ledger.values import DocumentSummary, PageOutcome, Plan

_SAID = ("outcome", "engine", "reason", "detail")


def storable_outcomes(outcomes: Sequence[PageOutcome]) -> list[PageOutcome]:
    """The same with texts that every database stores."""
    return [
        msgspec.structs.replace(page, **{name: storable(getattr(page, name)) for name in _SAID}) for page in outcomes
    ]


_TOLD = ("slice_id", "outcome", "engine", "reason", "detail", "confidence", "quality")
_PAID = ("cost_usd", "seconds")
_WRITE_PAGE = {
    name: insert.values(
        **{column: bindparam(f"new_{column}") for column in ("document_id", "number", *_TOLD, *_PAID)}
    ).on_conflict_do_update(
        index_elements=["document_id", "number"],
        set_={column: insert.excluded[column] for column in _TOLD}
        # both tries were paid for
        | {column: PAGE.c[column] + insert.excluded[column] for column in _PAID},
        where=(PAGE.c.outcome != PAGE_READ) | (insert.excluded.outcome == PAGE_READ),
    )
    for name, insert in upserts(PAGE).items()
}


def write_pages(session: Session, document_id: str, slice_id: int, outcomes: Sequence[PageOutcome]) -> None:
    """The last word on each page; but a page that was read stays read when a later try at it fails."""
    if outcomes:
        session.execute(
            _WRITE_PAGE[session.get_bind().dialect.name],
            [
                {
                    "new_document_id": document_id, "new_number": page.page, "new_slice_id": slice_id,
                    "new_outcome": page.outcome, "new_engine": page.engine, "new_reason": page.reason,
                    "new_detail": page.detail, "new_confidence": page.confidence, "new_quality": page.quality,
                    "new_cost_usd": page.cost_usd, "new_seconds": page.seconds,
                }
                for page in outcomes
            ],
        )  # fmt: skip


_PAGE_SLICES = (SLICE.c.document_id == bindparam("document_id")) & SLICE.c.step.in_(sorted(PAGE_STEPS))
_ANY_OPEN = select(exists().where(_PAGE_SLICES, SLICE.c.state.in_(sorted(OPEN_SLICES))))


def advance(session: Session, document: LockedDocument) -> DocumentState:
    """Moves a RUNNING document on once its last page slice has ended; returns where it stands then."""
    if document.state is not DocumentState.RUNNING:
        return document.state
    if session.execute(_ANY_OPEN, {"document_id": document.id}).scalar():
        return document.state
    verdict = judge_pages(_tally(session, document))
    if verdict.state is not DocumentState.ASSEMBLING:
        return _end(session, document, verdict.state, verdict.reason)
    document = move_document(session, document, verdict.state, verdict.reason)
    add_slices(session, document, [WHOLE[Step.ASSEMBLE]])
    return document.state


def conclude(session: Session, document: LockedDocument, summary: DocumentSummary) -> DocumentState:
    """Ends an ASSEMBLING document as its page rows say."""
    verdict = judge_document(_tally(session, document))
    return _end(session, document, verdict.state, verdict.reason, summary)


def give_up(session: Session, document: LockedDocument, dead: SliceRow, failure: Failure) -> DocumentState:
    """A slice died: its pages get their outcome, or, when it was about the whole document, the document ends."""
    if dead.step in PAGE_STEPS:
        detail = failure.message or failure.detail
        pages = range(dead.first_page, dead.last_page + 1)
        write_pages(session, document.id, dead.id, [PageOutcome(page, failure.code, detail=detail) for page in pages])
        return advance(session, document)
    counts = _count_pages(session, document)
    return move_document(
        session, document, DocumentState.FAILED, failure.code, code=failure.code, message=failure.message,
        detail=failure.detail, started_at=document.started_at or dead.started_at, finished_at=database_now(),
        **counts.columns(),
    ).state  # fmt: skip


_READ = select(func.count()).where(PAGE.c.document_id == bindparam("document_id"), PAGE.c.outcome == PAGE_READ)
_DEAD = select(func.count()).where(
    _PAGE_SLICES, SLICE.c.round == bindparam("of_round"), SLICE.c.state == SliceState.DEAD
)


def _tally(session: Session, document: LockedDocument) -> Tally:
    read = session.execute(_READ, {"document_id": document.id}).scalar_one()
    dead = session.execute(_DEAD, {"document_id": document.id, "of_round": document.round}).scalar_one()
    return Tally(document.pages or 0, read, dead)


class _PageCounts(msgspec.Struct, frozen=True):
    read: int
    not_read: int
    engines: dict[str, int]
    confidence: float | None
    cost_usd: float
    seconds: float
    failed: list[tuple[int, str, str]]
    """(page, outcome, detail), in order."""

    def columns(self) -> dict[str, object]:
        return {
            "pages_read": self.read, "pages_failed": self.not_read, "engines_json": json.dumps(self.engines),
            "confidence": self.confidence, "cost_usd": self.cost_usd, "work_seconds": self.seconds,
        }  # fmt: skip


_PAGES = (
    select(
        PAGE.c.number.label("page"), PAGE.c.outcome, PAGE.c.detail, PAGE.c.engine, PAGE.c.confidence, PAGE.c.cost_usd,
        PAGE.c.seconds,
    )
    .where(PAGE.c.document_id == bindparam("document_id"))
    .order_by(PAGE.c.number)
)  # fmt: skip


def _count_pages(session: Session, document: LockedDocument) -> _PageCounts:
    rows = session.execute(_PAGES, {"document_id": document.id})
    return _sum_up((PageOutcome(**row._mapping) for row in rows), document.pages or 0)


def _sum_up(outcomes: Iterable[PageOutcome], pages: int) -> _PageCounts:
    engines: Counter[str] = Counter()
    confidence = cost = seconds = 0.0
    failed: list[tuple[int, str, str]] = []
    for page in outcomes:
        cost += page.cost_usd
        seconds += page.seconds
        if page.outcome == PAGE_READ:
            engines[page.engine] += 1
            confidence += page.confidence
        else:
            failed.append((page.page, page.outcome, page.detail))
    read = engines.total()
    return _PageCounts(
        read, max(0, pages - read), dict(sorted(engines.items())), confidence / read if read else None, cost, seconds,
        failed,
    )  # fmt: skip


def closing(
    media_type: str, plan: Plan, outcomes: Sequence[PageOutcome], summary: DocumentSummary
) -> tuple[Verdict, dict[str, object]]:
    """How a document with an outcome for each of its pages (one at least) ends, and the columns that say so. Pure."""
    counts = _sum_up(outcomes, plan.pages)
    verdict = judge_document(Tally(plan.pages, counts.read))
    code, message = _most_frequent(counts.failed) if counts.failed else ("", "")
    return verdict, {
        "pages": plan.pages, "plan_json": plan.plan_json, "media_type": plan.media_type or media_type,
        "code": code, "message": message, "detail": storable(summary.detail), "result_key": summary.result_key,
        "results_json": summary.results_json, **counts.columns(),
    }  # fmt: skip


def end_at_once(
    session: Session,
    document: LockedDocument,
    plan: Plan,
    outcomes: Sequence[PageOutcome],
    summary: DocumentSummary,
    started_at: float | None,
) -> DocumentState:
    """Ends a RECEIVED document whose plan came with an outcome for every page."""
    counts = _sum_up(outcomes, plan.pages)
    verdict = judge_document(Tally(plan.pages, counts.read))
    planned = msgspec.structs.replace(document, pages=plan.pages)
    known = {
        "pages": plan.pages, "plan_json": plan.plan_json, "started_at": started_at,
        "media_type": plan.media_type or document.media_type,
    }  # fmt: skip
    return _end(session, planned, verdict.state, verdict.reason, summary, counts, known)


def _end(
    session: Session,
    document: LockedDocument,
    state: DocumentState,
    reason: str,
    summary: DocumentSummary = DocumentSummary(),  # noqa: B008 - frozen
    counted: _PageCounts | None = None,
    known: Mapping[str, object] = MappingProxyType({}),
) -> DocumentState:
    counts = counted or _count_pages(session, document)
    code, message = "", ""
    if state is not DocumentState.SUCCEEDED:
        code, message = _cause(session, document, reason, counts.failed)
    cause = cause_of_end(state, reason, code)
    return move_document(
        session, document, state, cause, code=code, message=message, detail=storable(summary.detail),
        result_key=summary.result_key, results_json=summary.results_json, finished_at=database_now(),
        **counts.columns(), **known,
    ).state  # fmt: skip


def _cause(
    session: Session, document: LockedDocument, reason: str, failed: Sequence[tuple[int, str, str]]
) -> tuple[str, str]:
    """Code and sentence of a document that did not succeed: those of its most frequent page failure."""
    if failed:
        return _most_frequent(failed)
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


def cause_of_end(state: DocumentState, reason: str, code: str) -> str:
    """What the event of an end says. Of a failure its code, which the document loses when it is tried again."""
    return code if state is DocumentState.FAILED and code else reason


def _most_frequent(failed: Sequence[tuple[int, str, str]]) -> tuple[str, str]:
    code = Counter(outcome for _, outcome, _ in failed).most_common(1)[0][0]
    said = next(detail for _, outcome, detail in failed if outcome == code)
    return code, f"{_name_pages([number for number, _, _ in failed])} could not be read: {said or code}"


def _name_pages(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:5]))
    more = f" and {len(numbers) - 5} more" if len(numbers) > 5 else ""
    return f"Page{'s' if len(numbers) > 1 else ''} {shown}{more}"
