"""Batches that clients open, fill, seal and watch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import bindparam, func, select, update
from sqlalchemy.orm import Session

from docfleet.domain.work import DOCUMENT_ENDS, PAGE_READ, DocumentState
from docfleet.errors import IdempotencyMismatch, NotFound
from docfleet.ledger.checks import checked_labels, checked_limit, known_id, plain_text
from docfleet.ledger.cursors import from_cursor, to_cursor
from docfleet.ledger.dialect import database_now, upsert
from docfleet.ledger.idempotency import checked_key
from docfleet.ledger.outbox import enqueue_finished_batch
from docfleet.ledger.registering import new_id
from docfleet.ledger.rows import BATCH, DOCUMENT, PAGE, BatchRow
from docfleet.ledger.service_rows import TenantRow
from docfleet.ledger.service_values import BatchListing, BatchView

_OPEN = sorted(set(DocumentState) - DOCUMENT_ENDS)
_VISIBLE = (
    BATCH.c.tenant_id == bindparam("tenant"),
    BATCH.c.implicit.is_(False),
    BATCH.c.deleted_at.is_(None),
)
_SHOWN = select(
    BATCH.c.id, BATCH.c.tenant_id, BATCH.c.label, BATCH.c.labels_json, BATCH.c.created_at, BATCH.c.sealed_at,
    BATCH.c.finished_at,
).where(*_VISIBLE)  # fmt: skip
_ONE = _SHOWN.where(BATCH.c.id == bindparam("wanted_id"))
_COUNTED = (
    select(
        DOCUMENT.c.batch_id, DOCUMENT.c.state, func.count().label("documents"),
        func.coalesce(func.sum(DOCUMENT.c.pages), 0).label("pages"),
        func.coalesce(func.sum(DOCUMENT.c.pages_read), 0).label("read"),
        func.coalesce(func.sum(DOCUMENT.c.pages_failed), 0).label("failed"),
    )
    .where(DOCUMENT.c.batch_id.in_(bindparam("ids", expanding=True)), DOCUMENT.c.deleted_at.is_(None))
    .group_by(DOCUMENT.c.batch_id, DOCUMENT.c.state)
)  # fmt: skip
_SO_FAR = (
    select(
        DOCUMENT.c.batch_id,
        func.count().label("ended"),
        func.count().filter(PAGE.c.outcome == PAGE_READ).label("read"),
    )
    .join(PAGE, PAGE.c.document_id == DOCUMENT.c.id)
    .where(DOCUMENT.c.batch_id.in_(bindparam("ids", expanding=True)), DOCUMENT.c.state.in_(_OPEN))
    .group_by(DOCUMENT.c.batch_id)
)


def home_of(session: Session, tenant: str) -> tuple[str, str]:
    """(id of the batch for documents submitted one by one, region) of the tenant; makes the batch if need be."""
    region = session.execute(select(TenantRow.region).where(TenantRow.id == tenant)).scalar_one_or_none() or ""
    key = f"{tenant}/singles"
    session.execute(
        upsert(session, BatchRow)
        .values(
            id=new_id(), key=key, label="", options_json="{}", created_at=database_now(), tenant_id=tenant,
            region=region, implicit=True,
        )
        .on_conflict_do_nothing(index_elements=["key"])
    )  # fmt: skip
    return session.execute(select(BATCH.c.id).where(BATCH.c.key == key)).scalar_one(), region


def open_batch(
    session: Session,
    tenant: str,
    label: str,
    labels: Mapping[str, str],
    submitted_by: str,
    idempotency_key: str,
    region: str,
) -> BatchView:
    """A new batch; with an idempotency key the one that was opened under it. Raises IdempotencyMismatch."""
    batch_id = new_id()
    said = {
        "label": plain_text(label, "The label of a batch", 200),
        "labels_json": msgspec.json.encode(checked_labels(labels)).decode(),
    }
    key = f"{tenant}/opened/{checked_key(idempotency_key) if idempotency_key else batch_id}"
    session.execute(
        upsert(session, BatchRow)
        .values(
            id=batch_id, key=key, options_json=msgspec.json.encode({"submitted_by": submitted_by}).decode(),
            created_at=database_now(), tenant_id=tenant, region=region, implicit=False, **said,
        )
        .on_conflict_do_nothing(index_elements=["key"])
    )  # fmt: skip
    made = session.execute(select(BATCH.c.id, BATCH.c.label, BATCH.c.labels_json).where(BATCH.c.key == key)).one()
    if (made.label, made.labels_json) != (said["label"], said["labels_json"]):
        raise IdempotencyMismatch()
    return batch(session, tenant, made.id)


def batch(session: Session, tenant: str, batch_id: str) -> BatchView:
    """Raises NotFound."""
    [view] = _views(session, [_found(session, tenant, batch_id)])
    return view


def _found(session: Session, tenant: str, batch_id: str) -> Any:
    row = session.execute(_ONE, {"wanted_id": known_id(batch_id, "batch"), "tenant": tenant}).one_or_none()
    if row is None:
        raise NotFound("There is no batch with this id.")
    return row


def require_batch(session: Session, tenant: str, batch_id: str) -> None:
    """Raises NotFound."""
    _found(session, tenant, batch_id)


def seal_batch(session: Session, tenant: str, batch_id: str) -> BatchView:
    """No more documents will come; once all have ended it is finished. Again: nothing more happens."""
    _found(session, tenant, batch_id)
    session.execute(
        update(BATCH).where(BATCH.c.id == batch_id, BATCH.c.sealed_at.is_(None)).values(sealed_at=database_now())
    )
    enqueue_finished_batch(session, batch_id)
    return batch(session, tenant, batch_id)


def batches(session: Session, tenant: str, cursor: str | None, limit: int) -> BatchListing:
    limit = checked_limit(limit)
    found = _SHOWN.order_by(BATCH.c.id.desc()).limit(limit + 1)
    if cursor:
        found = found.where(BATCH.c.id < from_cursor("b", cursor))
    rows = session.execute(found, {"tenant": tenant}).all()
    next_cursor = to_cursor("b", rows[limit - 1].id) if len(rows) > limit else None
    return BatchListing(tuple(_views(session, rows[:limit])), next_cursor)


def _views(session: Session, rows: Sequence[Any]) -> list[BatchView]:
    ids = [row.id for row in rows]
    documents = {id_: dict.fromkeys(DocumentState, 0) for id_ in ids}
    pages = {id_: [0, 0, 0] for id_ in ids}
    for row in session.execute(_COUNTED, {"ids": ids}) if ids else ():
        documents[row.batch_id][row.state] = row.documents
        ended = row.state in DOCUMENT_ENDS
        for at, count in enumerate((row.pages, row.read if ended else 0, row.failed if ended else 0)):
            pages[row.batch_id][at] += int(count)
    for row in session.execute(_SO_FAR, {"ids": ids}) if ids else ():
        pages[row.batch_id][1] += row.read
        pages[row.batch_id][2] += row.ended - row.read
    return [
        BatchView(
            row.id, row.tenant_id, row.label, msgspec.json.decode(row.labels_json, type=dict[str, str]),
            row.created_at, row.sealed_at, row.finished_at, documents[row.id], *pages[row.id],
        )
        for row in rows
    ]  # fmt: skip
