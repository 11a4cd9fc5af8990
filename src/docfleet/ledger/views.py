"""Documents and pages as their tenant sees them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from docfleet.domain.urgency import Urgency
from docfleet.domain.work import DOCUMENT_ENDS, OPEN_SLICES, PAGE_READ, PAGE_STEPS, DocumentState, SliceState
from docfleet.errors import Gone, NotFound
from docfleet.ledger.checks import known_id
from docfleet.ledger.rows import BATCH, DOCUMENT, PAGE, SLICE
from docfleet.ledger.service_values import (
    Accepted,
    DocumentView,
    PageView,
    ReadingOptions,
    ResultFile,
    Submission,
)

_SHOWN = [
    DOCUMENT.c[name]
    for name in (
        "id", "tenant_id", "name", "state", "batch_id", "media_type", "size_bytes", "sha256", "urgency", "pool",
        "labels_json", "options_json", "deadline_at", "duplicate_of", "follows", "pages", "pages_read", "pages_failed",
        "engines_json", "confidence", "cost_usd", "work_seconds", "code", "message", "detail", "created_at",
        "started_at", "finished_at", "deleted_at", "submitted_by", "content_id", "result_key", "results_json", "round",
    )
]  # fmt: skip
VIEWED = select(*_SHOWN, BATCH.c.implicit).join(BATCH, BATCH.c.id == DOCUMENT.c.batch_id)
"""What `views_of` takes rows of."""
_ONE = VIEWED.where(DOCUMENT.c.id == bindparam("wanted_id"), DOCUMENT.c.tenant_id == bindparam("tenant"))
_SO_FAR = (
    select(
        PAGE.c.document_id,
        func.count().label("ended"),
        func.count().filter(PAGE.c.outcome == PAGE_READ).label("read"),
    )
    .where(PAGE.c.document_id.in_(bindparam("ids", expanding=True)))
    .group_by(PAGE.c.document_id)
)
_RESULTS = frozenset({DocumentState.SUCCEEDED, DocumentState.PARTIAL})


def document(session: Session, tenant: str, document_id: str) -> DocumentView:
    """Raises NotFound, or Gone when it was deleted."""
    row = session.execute(_ONE, {"wanted_id": known_id(document_id, "document"), "tenant": tenant}).one_or_none()
    if row is None:
        raise NotFound("There is no document with this id.")
    if row.deleted_at is not None:
        raise Gone()
    [view] = views_of(session, [row])
    return view


def just_made(submission: Submission, accepted: Accepted, created_at: float) -> DocumentView:
    """A document that was submitted by itself, as it is shown the moment it was made."""
    return DocumentView(
        accepted.document_id, submission.tenant, submission.name, accepted.state, None, submission.media_type,
        submission.size_bytes, submission.sha256, Urgency(submission.urgency), submission.pool,
        dict(submission.labels), submission.options, submission.deadline_at, "", None, 0, 0, {}, None, 0.0, 0.0, "",
        "", "", created_at, None, None, None, submission.submitted_by, accepted.content_id, "", (), 1,
    )  # fmt: skip


def views_of(session: Session, rows: Sequence[Any]) -> list[DocumentView]:
    """In their order; the pages of those that are being read are counted."""
    open_ids = [row.id for row in rows if row.state not in DOCUMENT_ENDS and row.pages]
    counted: dict[str, tuple[int, int]] = {}
    if open_ids:
        found = session.execute(_SO_FAR, {"ids": open_ids})
        counted = {row.document_id: (row.read, row.ended - row.read) for row in found}
    return [_view(row, counted.get(row.id)) for row in rows]


def _view(row: Any, so_far: tuple[int, int] | None) -> DocumentView:
    ended = row.state in DOCUMENT_ENDS
    read, failed = (row.pages_read, row.pages_failed) if ended else so_far or (0, 0)
    results = row.results_json if row.state in _RESULTS else "[]"
    return DocumentView(
        row.id, row.tenant_id, row.name, row.state, None if row.implicit else row.batch_id, row.media_type,
        row.size_bytes, row.sha256, Urgency(row.urgency), row.pool,
        msgspec.json.decode(row.labels_json, type=dict[str, str]),
        msgspec.json.decode(row.options_json, type=ReadingOptions), row.deadline_at,
        row.duplicate_of or row.follows or "", row.pages, read, failed,
        msgspec.json.decode(row.engines_json, type=dict[str, int]), row.confidence, row.cost_usd, row.work_seconds,
        row.code, row.message, row.detail, row.created_at, row.started_at, row.finished_at, row.deleted_at,
        row.submitted_by, row.content_id or "", row.result_key,
        msgspec.json.decode(results, type=tuple[ResultFile, ...]), row.round,
    )  # fmt: skip


_PAGES = select(PAGE).where(PAGE.c.document_id == bindparam("wanted_id"))
_OPEN_RANGES = select(SLICE.c.first_page, SLICE.c.last_page, SLICE.c.state).where(
    SLICE.c.document_id == bindparam("wanted_id"),
    SLICE.c.step.in_(sorted(PAGE_STEPS)),
    SLICE.c.state.in_(sorted(OPEN_SLICES)),
)


def pages(session: Session, tenant: str, document_id: str) -> list[PageView]:
    """Every page, in order; empty while their number is not known. Raises NotFound or Gone."""
    row = session.execute(_ONE, {"wanted_id": known_id(document_id, "document"), "tenant": tenant}).one_or_none()
    if row is None:
        raise NotFound("There is no document with this id.")
    if row.deleted_at is not None:
        raise Gone()
    told = {page.number: page for page in session.execute(_PAGES, {"wanted_id": document_id})}
    doing = _doing(session.execute(_OPEN_RANGES, {"wanted_id": document_id}))
    return [_page(number, told.get(number), doing.get(number), row.state) for number in range(1, (row.pages or 0) + 1)]


def _doing(ranges: Iterable[Any]) -> dict[int, str]:
    """Page -> "waiting" or "running", of the pages some slice is still to read."""
    doing: dict[int, str] = {}
    for found in ranges:
        for number in range(found.first_page, found.last_page + 1):
            if found.state is SliceState.RUNNING or number not in doing:
                doing[number] = "running" if found.state is SliceState.RUNNING else "waiting"
    return doing


def _page(number: int, told: Any, doing: str | None, state: DocumentState) -> PageView:
    """What was read stays read; what failed and is tried again is open again."""
    if told is None:
        return PageView(number, doing or _untold(state))
    outcome = doing if doing and told.outcome != PAGE_READ else told.outcome
    return PageView(
        number, outcome, told.engine, told.reason, told.detail, told.confidence if told.outcome == PAGE_READ else None,
        told.cost_usd, told.seconds, told.quality,
    )  # fmt: skip


def _untold(state: DocumentState) -> str:
    if state is DocumentState.CANCELLED:
        return "cancelled"
    return "page_missing" if state in DOCUMENT_ENDS else "waiting"
