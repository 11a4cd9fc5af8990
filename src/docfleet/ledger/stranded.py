"""Open documents that nothing would ever end: they get their next slice, or the results they wait for.

Every move of a document makes the next slice in its own transaction, so this finds nothing unless somebody else wrote
to the database, or restored a part of it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec
from sqlalchemy import and_, exists, func, literal_column, or_, select, text, update
from sqlalchemy.orm import Session

from docfleet.domain.work import DOCUMENT_ENDS, OPEN_SLICES, DocumentState, Step
from docfleet.ledger.cutting import WHOLE, add_slices
from docfleet.ledger.documents import advance
from docfleet.ledger.followers import ended_leaders, release_followers
from docfleet.ledger.outbox import note_end
from docfleet.ledger.recording import LockedDocument, lock_document
from docfleet.ledger.rows import DOCUMENT, SLICE

SERVED_AT_ONCE = 8
"""Transactions of one call in which followers take results that are there: whoever calls has more to do."""
AT_ONCE = 1000
"""Documents of each state looked at in one go."""


class Position(msgspec.Struct):
    """How far the search has come; it goes round and round, some documents at a time."""

    after: dict[DocumentState, str] = {}


_OPEN = (DocumentState.ASSEMBLING, DocumentState.RUNNING, DocumentState.RECEIVED)
_leader = DOCUMENT.alias()
_HAS_WORK = exists().where(
    SLICE.c.document_id == DOCUMENT.c.id,
    SLICE.c.round == DOCUMENT.c.round,
    SLICE.c.state.in_(sorted(OPEN_SLICES)),
)
# one that has succeeded, and was not deleted, has results for them: see `serve`
_HAS_LEADER = exists().where(
    _leader.c.id == DOCUMENT.c.follows,
    or_(
        _leader.c.state.not_in(sorted(DOCUMENT_ENDS)),
        and_(_leader.c.state == DocumentState.SUCCEEDED, _leader.c.content_id.is_not(None)),
    ),
)
_IS_STRANDED = ~or_(_HAS_WORK, _HAS_LEADER)


def repairs(session: Session, position: Position) -> list[Callable[[Session], int]]:
    """What is to be done, each in a transaction of its own that returns for how many documents it did something."""
    leaders = ended_leaders(session, SERVED_AT_ONCE)
    served = [partial(serve, leader_id=id_) for id_ in leaders] * (SERVED_AT_ONCE // max(1, len(leaders)))
    return [*served, *(partial(rescue, document_id=id_) for id_ in find(session, position))]


def find(session: Session, position: Position) -> list[str]:
    """Ids of documents that may be stranded, among the next `AT_ONCE` of each state; moves the position."""
    found: list[str] = []
    for state in _OPEN:
        # literally as the partial index of open documents says it
        is_open = text("document.state IN ('received', 'running', 'assembling')")
        of_state = and_(is_open, DOCUMENT.c.state == literal_column(f"'{state}'"))
        some = (
            select(DOCUMENT.c.id)
            .where(of_state, DOCUMENT.c.id > position.after.get(state, ""))
            .order_by(DOCUMENT.c.id)
            .limit(AT_ONCE)
            .subquery()
        )
        last, count = session.execute(select(func.max(some.c.id), func.count())).one()
        found += session.execute(
            select(DOCUMENT.c.id).where(DOCUMENT.c.id.in_(select(some.c.id)), _IS_STRANDED).order_by(DOCUMENT.c.id)
        ).scalars()
        position.after[state] = last if count == AT_ONCE else ""
    return found


def serve(session: Session, leader_id: str) -> int:
    """Some of those that still wait for the results of a document that has them take them; how many."""
    leader = lock_document(session, leader_id)
    if leader.state is not DocumentState.SUCCEEDED:
        return 0
    served = release_followers(session, leader)
    for document in served:
        note_end(session, document)
    return len(served)


def rescue(session: Session, document_id: str) -> bool:
    """Gives the document its next slice, or its end; False when it had one by now."""
    document = lock_document(session, document_id)
    stranded = select(exists().where(DOCUMENT.c.id == document_id, _IS_STRANDED))
    if document.state in DOCUMENT_ENDS or not session.execute(stranded).scalar():
        return False
    session.execute(update(DOCUMENT).where(DOCUMENT.c.id == document_id).values(follows=None))
    if document.state is DocumentState.RUNNING:
        advance(session, document)
        return True
    whole = WHOLE[Step.PLAN if document.state is DocumentState.RECEIVED else Step.ASSEMBLE]
    if not add_slices(session, document, [whole]):
        # this round's slice is there and has ended without moving the document: another round
        session.execute(update(DOCUMENT).where(DOCUMENT.c.id == document_id).values(round=document.round + 1))
        add_slices(session, _in_next_round(document), [whole])
    return True


def _in_next_round(document: LockedDocument) -> LockedDocument:
    return msgspec.structs.replace(document, round=document.round + 1)
