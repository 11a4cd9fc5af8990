"""What a batch came to, for its report: sums by the database, and its documents some at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from sqlalchemy import Integer, bindparam, case, cast, func, select
from sqlalchemy.orm import Session

from docfleet.domain.work import PAGE_READ, DocumentState
from docfleet.ledger.ledger import Ledger
from docfleet.ledger.rows import DOCUMENT, PAGE

AT_ONCE = 2000
BINS = 20
LEAST_CERTAIN = 15
NOBODY = "none"
"""The engine of pages that nothing had to be read of."""

_OF_BATCH = (DOCUMENT.c.batch_id == bindparam("of_batch"), DOCUMENT.c.deleted_at.is_(None))
_ROW = (
    "id", "name", "state", "code", "message", "pages", "pages_read", "pages_failed", "size_bytes", "engines_json",
    "confidence", "work_seconds", "cost_usd", "created_at", "finished_at", "duplicate_of",
)  # fmt: skip
_ROWS = (
    select(*(DOCUMENT.c[name] for name in _ROW))
    .where(*_OF_BATCH, DOCUMENT.c.id > bindparam("after"))
    .order_by(DOCUMENT.c.id)
    .limit(AT_ONCE)
)
_LAST = select(func.max(DOCUMENT.c.finished_at), func.count(DOCUMENT.c.finished_at)).where(*_OF_BATCH)
# the pages of duplicates are those of the document that was read
_PAGES_OF = (
    *_OF_BATCH,
    DOCUMENT.c.duplicate_of == "",
    DOCUMENT.c.state.in_((DocumentState.SUCCEEDED, DocumentState.PARTIAL)),
)
_JOINED = DOCUMENT.join(PAGE, PAGE.c.document_id == DOCUMENT.c.id)
_bin = cast(func.floor(PAGE.c.confidence * BINS), Integer)
_HOW = (
    select(PAGE.c.engine, PAGE.c.reason, func.count().label("pages"))
    .select_from(_JOINED)
    .where(*_PAGES_OF, PAGE.c.outcome == PAGE_READ)
    .group_by(PAGE.c.engine, PAGE.c.reason)
)
_SURE = (
    select(case((_bin >= BINS, BINS - 1), (_bin < 0, 0), else_=_bin).label("bin"), func.count().label("pages"))
    .select_from(_JOINED)
    .where(*_PAGES_OF, PAGE.c.outcome == PAGE_READ)
    .group_by("bin")
)
_DOUBTED = (
    select(DOCUMENT.c.name, PAGE.c.number, PAGE.c.engine, PAGE.c.reason, PAGE.c.confidence)
    .select_from(_JOINED)
    .where(*_PAGES_OF, PAGE.c.outcome == PAGE_READ, PAGE.c.engine != NOBODY, PAGE.c.confidence < 1)
    .order_by(PAGE.c.confidence, DOCUMENT.c.id, PAGE.c.number)
    .limit(LEAST_CERTAIN)
)
_FAILED = (*_PAGES_OF[:-1], DOCUMENT.c.state == DocumentState.PARTIAL, PAGE.c.outcome != PAGE_READ)
_WHY = select(PAGE.c.outcome, func.count().label("pages")).select_from(_JOINED).where(*_FAILED).group_by(PAGE.c.outcome)
_UNREAD = (
    select(DOCUMENT.c.name, PAGE.c.number, PAGE.c.outcome, PAGE.c.detail)
    .select_from(_JOINED)
    .where(*_FAILED)
    .order_by(DOCUMENT.c.id, PAGE.c.number)
    .limit(bindparam("most"))
)


class BatchDocument(msgspec.Struct, frozen=True, gc=False):
    """One document of a batch."""

    id: str
    name: str
    state: DocumentState
    code: str
    message: str
    pages: int | None
    pages_read: int
    pages_failed: int
    size_bytes: int
    engines_json: str
    confidence: float | None
    work_seconds: float
    cost_usd: float
    created_at: float
    finished_at: float | None
    duplicate_of: str


class DoubtedPage(msgspec.Struct, frozen=True):
    name: str
    number: int
    engine: str
    reason: str
    confidence: float


class UnreadPage(msgspec.Struct, frozen=True):
    name: str
    number: int
    outcome: str
    detail: str


class BatchPages(msgspec.Struct, frozen=True):
    """Over all pages of documents that were read, those of duplicates left out."""

    by_engine: dict[str, int]
    by_reason: dict[str, int]
    histogram: tuple[int, ...]
    """By confidence, in `BINS` equal bins over 0..1."""
    least_certain: tuple[DoubtedPage, ...]
    unread: dict[str, int]
    """Code -> pages of documents that were read in part."""
    unread_pages: tuple[UnreadPage, ...]


def batch_documents(ledger: Ledger, batch_id: str) -> Iterator[BatchDocument]:
    """In the order of submission, in bounded memory. Each part is one look: what ends meanwhile may be seen or not."""
    after = ""
    while True:
        with ledger.reading() as session:
            rows = session.execute(_ROWS, {"of_batch": batch_id, "after": after}).all()
        yield from (BatchDocument(*row) for row in rows)
        if len(rows) < AT_ONCE:
            return
        after = rows[-1].id


def last_end(session: Session, batch_id: str) -> tuple[float | None, int]:
    """When its last document ended that has, and how many have."""
    last, count = session.execute(_LAST, {"of_batch": batch_id}).one()
    return last, count


def batch_pages(session: Session, batch_id: str, most: int) -> BatchPages:
    """`most`: unread pages that are named, at most."""
    given = {"of_batch": batch_id}
    engines: dict[str, int] = {}
    reasons: dict[str, int] = {}
    for row in session.execute(_HOW, given):
        _add(engines, row.engine, row.pages)
        _add(reasons, row.reason, row.pages)
    bins = [0] * BINS
    for row in session.execute(_SURE, given):
        bins[row.bin] += row.pages
    return BatchPages(
        by_engine=engines,
        by_reason=reasons,
        histogram=tuple(bins) if any(bins) else (),
        least_certain=_told(DoubtedPage, session.execute(_DOUBTED, given)),
        unread={row.outcome: row.pages for row in session.execute(_WHY, given)},
        unread_pages=_told(UnreadPage, session.execute(_UNREAD, given | {"most": most})),
    )


def _add(sums: dict[str, int], name: str, count: int) -> None:
    sums[name] = sums.get(name, 0) + count


def _told(kind: Any, rows: Any) -> tuple[Any, ...]:
    return tuple(kind(*row) for row in rows)
