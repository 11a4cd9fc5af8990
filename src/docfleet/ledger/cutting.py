"""Making slices: the same one asked for twice is one, and each queues up in its place."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Boolean, Integer, String, bindparam, case, cast, func, literal, select, text
from sqlalchemy.orm import Session

from docfleet.domain.urgency import Pool
from docfleet.domain.work import PAGE_STEPS, STEP_PRIORITY, WHOLE_DOCUMENT, SliceState, Step
from docfleet.errors import LedgerError
from docfleet.ledger.dialect import database_now, upserts
from docfleet.ledger.recording import LockedDocument, record_slices
from docfleet.ledger.rows import DOCUMENT, SLICE
from docfleet.ledger.values import NewSlice

SERVICE_EPOCH = 1_735_689_600
"""2025-01-01 UTC: the priorities of the service's slices are seconds since then, so that they fit an INTEGER."""
SECONDS_PER_STEP = 60
"""What one of `STEP_PRIORITY` counts in seconds: what is nearly ready goes before what came 20 minutes earlier."""
STRIDE_SECONDS = 300
"""How far apart the slices of one long document queue up: the share it gets when newcomers never end."""

_GIVEN = (
    "round", "step", "first_page", "last_page", "payload_json", "isolated", "crash_count", "error_count", "loss_count",
)  # fmt: skip
_COPIED = ("batch_id", "tenant_id", "region", "urgency", "deadline_at")
CLOUD_CHANNEL = "docfleet_cloud"
"""Postgres: whoever makes a cloud slice says so here, and cloud workers listen."""
_TELL_CLOUD = text(f"SELECT pg_notify('{CLOUD_CHANNEL}', '')")
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
    # cloud workers read pages of all kinds
    "pool": case(
        (
            (DOCUMENT.c.pool != "") & bindparam("for_cloud", type_=Boolean()),
            literal(Pool.CLOUD.value, String()),
        ),
        else_=DOCUMENT.c.pool,
    ),
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
            "for_cloud": new.step is Step.CLOUD,
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
    if made and session.get_bind().dialect.name == "postgresql" and any(new.step is Step.CLOUD for new in slices):
        session.execute(_TELL_CLOUD)
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
