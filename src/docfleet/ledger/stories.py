"""What happened to documents that have ended, for those who tell it in hindsight."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import bindparam, literal, select, tuple_
from sqlalchemy.orm import Session

from docfleet.domain.work import DocumentState, Step
from docfleet.ledger.dialect import database_now
from docfleet.ledger.rows import DOCUMENT, EVENT, SLICE
from docfleet.ledger.straight import Straight

MOST_EVENTS = 10_000
"""Events read of the documents that are told together."""


class Ended(msgspec.Struct, frozen=True):
    """A document's end, so far as its telling depends on it."""

    id: str
    trace: str
    state: DocumentState
    round: int
    finished_at: float
    pages: int


class SliceFacts(msgspec.Struct, frozen=True):
    step: Step
    first_page: int
    last_page: int


class StoryEvent(msgspec.Struct, frozen=True):
    """A change of state, of the document or (`slice_id`) of one of its slices."""

    at: float
    slice_id: int | None
    from_state: str
    to_state: str
    token: int
    worker: str
    cause: str


class Story(msgspec.Struct, frozen=True):
    """A document and all its changes, the oldest first. Times are the database's."""

    id: str
    batch_id: str
    tenant: str
    region: str
    pool: str
    urgency: str
    state: DocumentState
    code: str
    trace: str
    created_at: float
    finished_at: float
    round: int
    pages: int
    pages_failed: int
    same_as: str
    """The document whose results it took; empty: it was read."""
    same_trace: str
    """`trace` of that one."""
    slices: dict[int, SliceFacts]
    events: tuple[StoryEvent, ...]


_NOW = select(database_now().label("now"))
_ENDED = Straight(
    select(
        DOCUMENT.c.id, DOCUMENT.c.trace, DOCUMENT.c.state, DOCUMENT.c.round, DOCUMENT.c.finished_at, DOCUMENT.c.pages,
    )
    .where(
        DOCUMENT.c.finished_at.is_not(None),
        # said again for the index, which knows no ids
        DOCUMENT.c.finished_at >= bindparam("since"),
        DOCUMENT.c.region.in_([bindparam("of_region"), literal("")]),
        tuple_(DOCUMENT.c.finished_at, DOCUMENT.c.id) > tuple_(bindparam("since"), bindparam("after_id")),
        DOCUMENT.c.content_id.is_not(None),
    )
    .order_by(DOCUMENT.c.finished_at, DOCUMENT.c.id)
    .limit(bindparam("most"))
)  # fmt: skip
_payer = DOCUMENT.alias()
_DOCUMENTS = (
    select(
        *(
            DOCUMENT.c[name]
            for name in (
                "id", "batch_id", "tenant_id", "region", "pool", "urgency", "state", "code", "trace", "created_at",
                "finished_at", "round", "pages", "pages_failed", "duplicate_of",
            )
        ),
        _payer.c.trace.label("same_trace"),
    )
    .outerjoin(_payer, _payer.c.id == DOCUMENT.c.duplicate_of)
    .where(DOCUMENT.c.id.in_(bindparam("ids", expanding=True)))
)  # fmt: skip
_SLICES = select(SLICE.c.id, SLICE.c.document_id, SLICE.c.step, SLICE.c.first_page, SLICE.c.last_page).where(
    SLICE.c.document_id.in_(bindparam("ids", expanding=True))
)
_EVENTS = (
    select(
        EVENT.c.document_id, EVENT.c.at, EVENT.c.slice_id, EVENT.c.from_state, EVENT.c.to_state, EVENT.c.token,
        EVENT.c.worker, EVENT.c.cause,
    )
    .where(EVENT.c.document_id.in_(bindparam("ids", expanding=True)))
    .order_by(EVENT.c.id)
    .limit(MOST_EVENTS)
)  # fmt: skip


def now(session: Session) -> float:
    return float(session.execute(_NOW).scalar_one())


def ended_since(session: Session, region: str, since: float, after_id: str, most: int) -> list[Ended]:
    """Documents of the service that ended after (since, after_id), in that order. Files of the disk are none.

    Those of `region`, and of tenants that have none.
    """
    given = {"of_region": region, "since": since, "after_id": after_id, "most": most}
    return [
        Ended(row.id, row.trace, DocumentState(row.state), row.round, row.finished_at, row.pages or 0)
        for row in _ENDED.rows(session, given)
    ]


def stories(session: Session, ids: Sequence[str]) -> list[Story]:
    """Of those that have (still) ended. Of very many events the last are left out."""
    given = {"ids": list(ids)}
    slices: dict[str, dict[int, SliceFacts]] = defaultdict(dict)
    for row in session.execute(_SLICES, given):
        slices[row.document_id][row.id] = SliceFacts(Step(row.step), row.first_page, row.last_page)
    events: dict[str, list[StoryEvent]] = defaultdict(list)
    for one in session.execute(_EVENTS, given):
        events[one.document_id].append(
            StoryEvent(one.at, one.slice_id, one.from_state, one.to_state, one.token, one.worker, one.cause)
        )
    found = session.execute(_DOCUMENTS, given).all()
    return [_story(row, slices[row.id], events[row.id]) for row in found if row.finished_at is not None]


def _story(row: Any, slices: dict[int, SliceFacts], events: Sequence[StoryEvent]) -> Story:
    return Story(
        row.id, row.batch_id, row.tenant_id, row.region, row.pool, row.urgency, DocumentState(row.state), row.code,
        row.trace, row.created_at, row.finished_at, row.round, row.pages or 0, row.pages_failed, row.duplicate_of,
        row.same_trace or "", slices, tuple(events),
    )  # fmt: skip
