"""Documents that wait for the results of another with the same bytes and options.

They take them in the transaction in which that ends; when there are many, or the document is long, the first of them
do. The others still follow it then, and get their results some at a time from whoever dispatches (`ended_leaders`,
`release_followers`).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, case, insert, literal, select, update
from sqlalchemy.orm import Session

from docfleet.domain.urgency import RANK, Urgency
from docfleet.domain.work import DocumentState, Step
from docfleet.ledger.cutting import WHOLE, add_slices
from docfleet.ledger.dialect import database_now
from docfleet.ledger.recording import FACTS, LockedDocument, lock_document, record_documents
from docfleet.ledger.rows import DOCUMENT, PAGE
from docfleet.ledger.service_rows import CONTENT

FEW_FOLLOWERS = 16
"""Up to so many wait for one of them; of more, each half for one of its own.

Whoever follows a document that fails again is moved on again: halves make that n log n moves in all instead of n * n.
"""

MOST_PAGES = 20_000
MOST_FOLLOWERS = 500
"""So many page rows, and so many documents, are written in one transaction at most; one document at least."""

_leader = DOCUMENT.alias()
_FOLLOWERS = (
    select(DOCUMENT.c.id, DOCUMENT.c.content_id, DOCUMENT.c.urgency)
    .where(DOCUMENT.c.follows == bindparam("leader_id"))
    .order_by(DOCUMENT.c.id)
    .with_for_update(key_share=True)
)
_SHARED = (
    "content_id", "media_type", "plan_json", "pages", "pages_read", "pages_failed", "engines_json", "confidence",
    "result_key", "results_json",
)  # fmt: skip
_TAKE_RESULTS = (
    update(DOCUMENT)
    .where(
        DOCUMENT.c.follows == bindparam("of_leader"), DOCUMENT.c.id <= bindparam("last"),
        _leader.c.id == DOCUMENT.c.follows,
    )
    .values(
        state=DocumentState.SUCCEEDED, follows=None, duplicate_of=_leader.c.id, started_at=_leader.c.started_at,
        finished_at=database_now(), sealed_passwords=None, **{name: _leader.c[name] for name in _SHARED},
    )
)  # fmt: skip
_PAGE_TOLD = ("number", "slice_id", "outcome", "engine", "reason", "detail", "confidence", "quality")
_COPY_PAGES = insert(PAGE).from_select(
    ["document_id", *_PAGE_TOLD, "cost_usd", "seconds"],
    select(DOCUMENT.c.id, *(PAGE.c[name] for name in _PAGE_TOLD), literal(0.0), literal(0.0))
    .join_from(DOCUMENT, PAGE, PAGE.c.document_id == DOCUMENT.c.follows)
    .where(DOCUMENT.c.follows == bindparam("leader_id"), DOCUMENT.c.id <= bindparam("last")),
)
_READY = select(*FACTS).where(DOCUMENT.c.id.in_(bindparam("ids", expanding=True))).order_by(DOCUMENT.c.id)
_SHARE = update(CONTENT).where(CONTENT.c.id == bindparam("content")).values(refs=CONTENT.c.refs + bindparam("more"))
_left = CONTENT.c.refs - bindparam("fewer")
_LEAVE = (
    update(CONTENT)
    .where(CONTENT.c.id == bindparam("content"), CONTENT.c.erased_at.is_(None))
    .values(
        refs=_left,
        wrapped_key=case((_left <= 0, None), else_=CONTENT.c.wrapped_key),
        erased_at=case((_left <= 0, database_now()), else_=None),
    )
)
_STOP_FOLLOWING = update(DOCUMENT).where(DOCUMENT.c.id == bindparam("freed")).values(follows=None)
_FOLLOW = (
    update(DOCUMENT)
    .where(DOCUMENT.c.follows == bindparam("of_leader"), DOCUMENT.c.id.between(bindparam("first"), bindparam("last")))
    .values(follows=bindparam("new_leader"))
)
_ENDED_LEADERS = (
    select(DOCUMENT.c.follows)
    .where(
        DOCUMENT.c.follows.is_not(None), _leader.c.id == DOCUMENT.c.follows,
        _leader.c.state == DocumentState.SUCCEEDED, _leader.c.content_id.is_not(None),
    )
    .distinct()
    .limit(bindparam("most"))
)  # fmt: skip


def release_followers(session: Session, document: LockedDocument) -> list[LockedDocument]:
    """`document` has ended and is locked: its followers take its results, or, without any, are read themselves.

    Returns those that ended with it; of many, the first (the others when this is called again). The leader is locked
    before its followers, and those in the order of their ids, as everywhere.
    """
    if document.content_id is None:
        return []
    if document.state is DocumentState.SUCCEEDED:
        most = max(1, min(MOST_FOLLOWERS, MOST_PAGES // max(1, document.pages or 1)))
        waiting = session.execute(_FOLLOWERS.limit(most), {"leader_id": document.id}).all()
        return _take_results(session, document, waiting) if waiting else []
    read_followers(session, document)
    return []


def read_followers(session: Session, document: LockedDocument) -> None:
    """There are no results to take, or no longer: the followers are read themselves, one for all or two for many."""
    waiting = session.execute(_FOLLOWERS, {"leader_id": document.id}).all()
    half = (len(waiting) + 1) // 2 if len(waiting) > FEW_FOLLOWERS else len(waiting)
    for group in (waiting[:half], waiting[half:]):
        if group:
            _read_one(session, document, group)


def ended_leaders(session: Session, most: int) -> list[str]:
    """Documents with results that some still wait for."""
    return [id_ for (id_,) in session.execute(_ENDED_LEADERS, {"most": most}) if id_ is not None]


def _take_results(session: Session, leader: LockedDocument, waiting: Any) -> list[LockedDocument]:
    ids = [row.id for row in waiting]
    session.execute(_COPY_PAGES, {"leader_id": leader.id, "last": ids[-1]})
    session.execute(_TAKE_RESULTS, {"of_leader": leader.id, "last": ids[-1]})
    moved = [row.content_id for row in waiting if row.content_id != leader.content_id]
    if moved:
        session.execute(_SHARE, {"content": leader.content_id, "more": len(moved)})
        for content_id in sorted({content_id for content_id in moved if content_id is not None}):
            session.execute(_LEAVE, {"content": content_id, "fewer": moved.count(content_id)})
    record_documents(session, ids, DocumentState.RECEIVED, DocumentState.SUCCEEDED, f"same as {leader.id}")
    return [LockedDocument(*row) for row in session.execute(_READY, {"ids": ids})]


def _read_one(session: Session, leader: LockedDocument, group: Any) -> None:
    """The most urgent of the group gets its plan; the others wait for it, so that each is at most as urgent as it."""
    first = min(group, key=lambda row: (RANK[Urgency(row.urgency)], row.id))
    session.execute(_STOP_FOLLOWING, {"freed": first.id})
    # by their range: there may be more of them than a statement can name
    place = {"first": group[0].id, "last": group[-1].id}
    session.execute(_FOLLOW, {"of_leader": leader.id, "new_leader": first.id, **place})
    document = lock_document(session, first.id)
    record_documents(session, [first.id], document.state, document.state, f"{leader.id} ended {leader.state}")
    add_slices(session, document, [WHOLE[Step.PLAN]])
