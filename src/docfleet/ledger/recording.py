"""A document as its transaction holds it, and the event rows that tell of every change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Double, bindparam, func, insert, select
from sqlalchemy.orm import Session

from docfleet.domain.work import DocumentState
from docfleet.errors import LedgerError
from docfleet.ledger.dialect import database_now
from docfleet.ledger.rows import DOCUMENT, EVENT
from docfleet.ledger.straight import Straight


class LockedDocument(msgspec.Struct, frozen=True):
    """What the moves need to know of a document; true while the transaction that locked it lasts."""

    id: str
    batch_id: str
    state: DocumentState
    round: int
    priority: int
    pages: int | None
    media_type: str
    started_at: float | None
    tenant_id: str = ""
    content_id: str | None = None
    """None for files of the disk."""


FACTS = [DOCUMENT.c[name] for name in LockedDocument.__struct_fields__]
_LOCK = Straight(select(*FACTS).where(DOCUMENT.c.id == bindparam("document_id")).with_for_update(key_share=True))


def lock_document(session: Session, document_id: str) -> LockedDocument:
    """The document, held until the transaction ends.

    Whoever ends a slice takes this lock first: so only one of two that end at once can be the last, and all lock in
    the same order.
    """
    rows = _LOCK.rows(session, {"document_id": document_id})
    if not rows:
        raise LedgerError(f"the ledger knows no document {document_id}")
    (row,) = rows
    return msgspec.structs.replace(LockedDocument(*row), state=DocumentState(row.state))


def _of_document(column: str) -> Any:
    """A column of the document that the new row belongs to, so that callers need not carry it along."""
    found = select(DOCUMENT.c[column]).where(DOCUMENT.c.id == bindparam("new_document_id")).scalar_subquery()
    return func.coalesce(found, "")


_TOLD = ("entity", "document_id", "slice_id", "from_state", "to_state", "token", "worker", "cause")
_RECORD = insert(EVENT).values(
    at=func.coalesce(bindparam("new_at", type_=Double()), database_now()),
    tenant_id=_of_document("tenant_id"),
    batch_id=_of_document("batch_id"),
    **{name: bindparam(f"new_{name}") for name in _TOLD},
)


def record_documents(
    session: Session, ids: Sequence[str], before: DocumentState | None, after: DocumentState, cause: str
) -> None:
    _record(
        session,
        [
            {
                "entity": "document", "document_id": id_, "slice_id": None, "from_state": before or "",
                "to_state": after, "token": 0, "worker": "", "cause": cause,
            }
            for id_ in ids
        ],
    )  # fmt: skip


def record_slices(session: Session, events: Iterable[Mapping[str, Any]]) -> None:
    """Each with document_id, slice_id, from_state, to_state, token, worker, cause; and `at` where that is known."""
    _record(session, [{"entity": "slice", **event} for event in events])


def _record(session: Session, events: Sequence[Mapping[str, Any]]) -> None:
    if events:
        told = [{"new_at": None} | {f"new_{name}": value for name, value in event.items()} for event in events]
        session.execute(_RECORD, told)
