"""Changing the state of a document, or making a slice, together with the event that tells of it.

Statements that run for every slice are built once, here and in the other files of this folder: building one costs
more than running it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Integer, String, bindparam, case, cast, func, insert, literal, select, update
from sqlalchemy.orm import Session

from docfleet.domain.work import (
    DOCUMENT_ENDS,
    OPEN_SLICES,
    PAGE_STEPS,
    STEP_PRIORITY,
    WHOLE_DOCUMENT,
    DocumentState,
    SliceState,
    Step,
)
from docfleet.errors import LedgerError
from docfleet.ledger.after_end import after_end
from docfleet.ledger.dialect import database_now, upserts
from docfleet.ledger.rows import DOCUMENT, EVENT, SLICE, SliceRow
from docfleet.ledger.values import NewSlice


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


_FACTS = [DOCUMENT.c[name] for name in LockedDocument.__struct_fields__]
_LOCK = select(*_FACTS).where(DOCUMENT.c.id == bindparam("document_id")).with_for_update(key_share=True)


def lock_document(session: Session, document_id: str) -> LockedDocument:
    """The document, held until the transaction ends.

    Whoever ends a slice takes this lock first: so only one of two that end at once can be the last, and all lock in
    the same order.
    """
    row = session.execute(_LOCK, {"document_id": document_id}).one_or_none()
    if row is None:
        raise LedgerError(f"the ledger knows no document {document_id}")
    return LockedDocument(*row)


def move_document(
    session: Session, document: LockedDocument, to: DocumentState, cause: str, **columns: Any
) -> LockedDocument:
    """Guarded: raises LedgerError when the document is no longer in the state it was read in, or may not move there."""
    moved = session.execute(
        update(DOCUMENT)
        .where(DOCUMENT.c.id == document.id, DOCUMENT.c.state == document.state)
        .values(state=to, **columns)
        .returning(*_FACTS)
    ).one_or_none()
    if moved is None:
        raise LedgerError(f"document {document.id} is no longer {document.state}")
    record_documents(session, [document.id], document.state, to, cause)
    ended = LockedDocument(*moved)
    if to in DOCUMENT_ENDS:
        after_end(session, ended)
    return ended


def _of_document(column: str) -> Any:
    """A column of the document that the new row belongs to, so that callers need not carry it along."""
    found = select(DOCUMENT.c[column]).where(DOCUMENT.c.id == bindparam("new_document_id")).scalar_subquery()
    return func.coalesce(found, "")


_TOLD = ("entity", "document_id", "slice_id", "from_state", "to_state", "token", "worker", "cause")
_RECORD = insert(EVENT).values(
    at=database_now(),
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
    """Each with document_id, slice_id, from_state, to_state, token, worker, cause."""
    _record(session, [{"entity": "slice", **event} for event in events])


def _record(session: Session, events: Sequence[Mapping[str, Any]]) -> None:
    if events:
        session.execute(_RECORD, [{f"new_{name}": value for name, value in event.items()} for event in events])


SERVICE_EPOCH = 1_735_689_600
"""2025-01-01 UTC: the priorities of the service's slices are seconds since then, so that they fit an INTEGER."""
SECONDS_PER_STEP = 60
"""What one of `STEP_PRIORITY` counts in seconds: what is nearly ready goes before what came 20 minutes earlier."""
STRIDE_SECONDS = 300
"""How far apart the slices of one long document queue up: the share it gets when newcomers never end."""

_GIVEN = (
    "round", "step", "first_page", "last_page", "payload_json", "isolated", "crash_count", "error_count", "loss_count",
)  # fmt: skip
_COPIED = ("batch_id", "tenant_id", "region", "pool", "urgency", "deadline_at")
_NOW = database_now()
# A document of the service queues where it arrived (or, tried again, now), each further slice of it some way behind:
# so a short document overtakes the rest of a long one, but not for ever.
_QUEUED_FROM = func.floor(case((DOCUMENT.c.round > 1, _NOW), else_=DOCUMENT.c.created_at) - SERVICE_EPOCH)
_PLACE = case(
    (bindparam("given_priority", type_=Integer()).is_not(None), bindparam("given_priority", type_=Integer())),
    (DOCUMENT.c.pool == "", bindparam("disk_priority", type_=Integer())),
    else_=cast(_QUEUED_FROM, Integer) + bindparam("seconds_behind", type_=Integer()),
)
_CONTENTS = {
    "document_id": DOCUMENT.c.id,
    **{name: DOCUMENT.c[name] for name in _COPIED},
    **{name: bindparam(f"new_{name}", type_=SLICE.c[name].type) for name in _GIVEN},
    "priority": _PLACE,
    "state": bindparam("new_state", SliceState.QUEUED, type_=SLICE.c.state.type),
    **{name: literal(0, Integer()) for name in ("attempt", "wait_count", "token")},
    **{name: literal("", String()) for name in ("worker", "result_key", "code", "message", "detail")},
    "available_at": _NOW,
    "created_at": _NOW,
}
_ADD = {
    name: statement.from_select(
        list(_CONTENTS), select(*_CONTENTS.values()).where(DOCUMENT.c.id == bindparam("new_document_id"))
    )
    .on_conflict_do_nothing()
    .returning(SLICE.c.id)
    for name, statement in upserts(SLICE).items()
}


class Suspicion(msgspec.Struct, frozen=True):
    """Counters a new slice starts with, when it was cut from one that failed."""

    isolated: bool = False
    crash_count: int = 0
    error_count: int = 0
    loss_count: int = 0


def add_slices(
    session: Session,
    document: LockedDocument,
    slices: Sequence[NewSlice],
    suspicion: Suspicion = Suspicion(),  # noqa: B008 - frozen
) -> list[int]:
    """Makes the slices that are not there yet in this round of the document; returns the ids of those made.

    The same slice asked for twice is one slice: the unique key decides, not a look beforehand.
    """
    statement = _ADD[session.get_bind().dialect.name]
    made: list[int] = []
    ordinal = 0
    for new in slices:
        check_range(document, new)
        row = {
            "document_id": document.id, "round": document.round, "step": new.step, "first_page": new.first_page,
            "last_page": new.last_page, "payload_json": new.payload_json, **msgspec.structs.asdict(suspicion),
        }  # fmt: skip
        place = {
            "given_priority": new.priority,
            "disk_priority": document.priority + STEP_PRIORITY[new.step],
            "seconds_behind": STEP_PRIORITY[new.step] * SECONDS_PER_STEP + ordinal * STRIDE_SECONDS,
        }
        ordinal += new.step in PAGE_STEPS
        made += session.execute(statement, {f"new_{name}": value for name, value in row.items()} | place).scalars()
    record_slices(
        session,
        [
            {
                "document_id": document.id, "slice_id": slice_id, "from_state": "", "to_state": SliceState.QUEUED,
                "token": 0, "worker": "", "cause": f"round {document.round}",
            }
            for slice_id in made
        ],
    )  # fmt: skip
    return made


def check_range(document: LockedDocument, new: NewSlice) -> None:
    """Raises LedgerError when the document has no such pages."""
    whole = new.step in (Step.PLAN, Step.ASSEMBLE)
    if whole != (new.first_page == new.last_page == WHOLE_DOCUMENT) or not 0 <= new.first_page <= new.last_page:
        raise LedgerError(f"a {new.step} slice cannot have pages {new.first_page} to {new.last_page}")
    if not whole and (new.first_page == WHOLE_DOCUMENT or new.last_page > (document.pages or 0)):
        raise LedgerError(f"pages {new.first_page} to {new.last_page} of a document of {document.pages} pages")


WHOLE = {step: NewSlice(step, WHOLE_DOCUMENT, WHOLE_DOCUMENT) for step in (Step.PLAN, Step.ASSEMBLE)}
"""The slices that are about a whole document."""


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
