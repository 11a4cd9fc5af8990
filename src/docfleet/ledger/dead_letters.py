"""Slices that were given up: looked at, grouped by cause, and listed until somebody deals with them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Row, Select, bindparam, func, select, update
from sqlalchemy.orm import Session

from docfleet.domain.work import PAGE_STEPS, SliceState, Step
from docfleet.errors import BadRequest
from docfleet.ledger.checks import checked_limit, known_id, plain_text
from docfleet.ledger.cursors import from_cursor, to_cursor
from docfleet.ledger.dialect import database_now
from docfleet.ledger.moves import record_slices
from docfleet.ledger.rows import BATCH, DOCUMENT, SLICE
from docfleet.ledger.service_values import DeadLetterGroup, DeadLetterListing, DeadLetterView

Letters = list[tuple[Step, int, int]]
"""Step, first and last page of each."""

_LISTED = (SLICE.c.state == SliceState.DEAD, SLICE.c.settled_at.is_(None))
_SHOWN = (
    select(
        SLICE.c.id, SLICE.c.document_id, DOCUMENT.c.name, SLICE.c.batch_id, BATCH.c.implicit,
        DOCUMENT.c.state.label("document_state"), SLICE.c.step, SLICE.c.first_page, SLICE.c.last_page, SLICE.c.code,
        SLICE.c.message, SLICE.c.detail, SLICE.c.attempt, SLICE.c.crash_count, SLICE.c.error_count, SLICE.c.worker,
        SLICE.c.created_at, SLICE.c.finished_at,
    )
    .join(DOCUMENT, DOCUMENT.c.id == SLICE.c.document_id)
    .join(BATCH, BATCH.c.id == SLICE.c.batch_id)
    .where(*_LISTED)
)  # fmt: skip
_GROUPS = (
    select(
        SLICE.c.code, SLICE.c.step, func.count().label("letters"),
        func.count(SLICE.c.document_id.distinct()).label("documents"),
        func.min(SLICE.c.finished_at).label("oldest"), func.max(SLICE.c.finished_at).label("newest"),
        func.min(SLICE.c.message).label("message"),
    )
    .where(SLICE.c.tenant_id == bindparam("tenant"), *_LISTED)
    .group_by(SLICE.c.code, SLICE.c.step)
    .order_by(func.count().desc(), SLICE.c.code, SLICE.c.step)
)  # fmt: skip


def _chosen(
    statement: Select[Any], tenant: str, code: str | None, step: str | None, document_id: str | None
) -> Select[Any]:
    """The statement narrowed to what was asked for. Raises BadRequest for a step there is none of, or NotFound."""
    statement = statement.where(SLICE.c.tenant_id == tenant)
    if code is not None:
        statement = statement.where(SLICE.c.code == plain_text(code, "A code", 64))
    if step is not None:
        if step not in set(Step):
            raise BadRequest(f"A step is one of {', '.join(Step)}.")
        statement = statement.where(SLICE.c.step == Step(step))
    if document_id is not None:
        statement = statement.where(SLICE.c.document_id == known_id(document_id, "document"))
    return statement


def dead_letters(
    session: Session, tenant: str, code: str | None, cursor: str | None, limit: int, step: str | None = None
) -> DeadLetterListing:
    limit = checked_limit(limit)
    found = _chosen(_SHOWN, tenant, code, step, None).order_by(SLICE.c.id.desc()).limit(limit + 1)
    if cursor:
        found = found.where(SLICE.c.id < int(from_cursor("l", cursor, longest=15), 16))
    rows = session.execute(found).all()
    next_cursor = to_cursor("l", f"{rows[limit - 1].id:x}") if len(rows) > limit else None
    return DeadLetterListing(tuple(_view(row) for row in rows[:limit]), next_cursor)


def _view(row: Row[Any]) -> DeadLetterView:
    return DeadLetterView(
        row.id, row.document_id, row.name, None if row.implicit else row.batch_id, row.document_state, row.step,
        row.first_page, row.last_page, row.code, row.message, row.detail, row.attempt, row.crash_count,
        row.error_count, row.worker, row.created_at, row.finished_at or 0.0,
    )  # fmt: skip


def groups(session: Session, tenant: str) -> list[DeadLetterGroup]:
    """By cause and step, the largest first."""
    return [
        DeadLetterGroup(
            row.code, row.step, row.letters, row.documents, row.oldest or 0.0, row.newest or 0.0, row.message
        )
        for row in session.execute(_GROUPS, {"tenant": tenant})
    ]


def count(session: Session, tenant: str | None) -> int:
    """Of one tenant, or of all."""
    listed = select(func.count()).select_from(SLICE).where(*_LISTED)
    return session.execute(listed if tenant is None else listed.where(SLICE.c.tenant_id == tenant)).scalar_one()


def letters_of_next(
    session: Session,
    tenant: str,
    code: str | None,
    step: str | None,
    document_id: str | None,
    after: str,
    limit: int,
) -> dict[str, Letters]:
    """The next documents (by id, after one) that have such letters, each with the (step, first, last page) of those."""
    ids = _chosen(select(SLICE.c.document_id).distinct(), tenant, code, step, document_id)
    ids = ids.where(*_LISTED, SLICE.c.document_id > after).order_by(SLICE.c.document_id).limit(limit)
    wanted = list(session.execute(ids).scalars())
    found = select(SLICE.c.document_id, SLICE.c.step, SLICE.c.first_page, SLICE.c.last_page)
    found = _chosen(found, tenant, code, step, document_id).where(*_LISTED, SLICE.c.document_id.in_(wanted))
    letters: dict[str, Letters] = {id_: [] for id_ in wanted}
    for row in session.execute(found.order_by(SLICE.c.id)) if wanted else ():
        letters[row.document_id].append((row.step, row.first_page, row.last_page))
    return letters


def pages_of(letters: Letters) -> list[int] | None:
    """The pages these letters are about; None when one is about the whole document."""
    if any(step not in PAGE_STEPS for step, _, _ in letters):
        return None
    return sorted({page for _, first, last in letters for page in range(first, last + 1)})


def settle(session: Session, document_id: str, pages: Collection[int] | None) -> None:
    """The document's dead letters (that have one of these pages) are listed no more."""
    listed = select(SLICE.c.id, SLICE.c.first_page, SLICE.c.last_page).where(
        SLICE.c.document_id == document_id, *_LISTED
    )
    ids = [
        row.id
        for row in session.execute(listed)
        if pages is None or row.first_page == 0 or any(row.first_page <= page <= row.last_page for page in pages)
    ]
    if ids:
        session.execute(update(SLICE).where(SLICE.c.id.in_(ids)).values(settled_at=database_now()))


def discard_some(
    session: Session, tenant: str, code: str | None, step: str | None, document_id: str | None, limit: int
) -> int:
    """Lists so many letters no more; their documents stay as they ended. Returns how many."""
    ids = _chosen(select(SLICE.c.id), tenant, code, step, document_id).where(*_LISTED)
    chosen = ids.order_by(SLICE.c.id).limit(limit).with_for_update(skip_locked=True)
    rows = session.execute(
        update(SLICE)
        .where(SLICE.c.id.in_(list(session.execute(chosen).scalars())))
        .values(settled_at=database_now())
        .returning(SLICE.c.id, SLICE.c.document_id, SLICE.c.token, SLICE.c.worker)
    ).all()
    record_slices(
        session,
        [
            {
                "document_id": row.document_id, "slice_id": row.id, "from_state": SliceState.DEAD,
                "to_state": SliceState.DEAD, "token": row.token, "worker": row.worker, "cause": "discarded",
            }
            for row in rows
        ],
    )  # fmt: skip
    return len(rows)
